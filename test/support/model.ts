import type { EngineModel } from "../../src/generate/recovery.ts";
import type { CalibrationOptions, Importance } from "../../src/model/calibrate.ts";
import {
  type Candidates,
  type LanguageModel,
  MAX_CANDIDATES,
  type PassPart,
  type Want,
} from "../../src/model/language-model.ts";
import { KvCache, type Sequence } from "../../src/model/sequence.ts";
import type { Identity, Snapshots } from "../../src/model/snapshots.ts";

export interface FakeModelOptions {
  readonly contextLength?: number;
  readonly tokenCount: number;
  /** Rows of one prefill pass. */
  readonly chunk?: number;
  /** Pages of 8 positions that all sequences share. Default: those of one. */
  readonly pages?: number;
  /** The logits after these tokens. Default: a function of them all, so that a wrong cache gives wrong tokens. */
  readonly logitsAfter?: (tokens: readonly number[]) => Float32Array;
  /** Called before each pass. */
  readonly onPass?: () => void;
}

/** A language model without arithmetic, that keeps the contract of LanguageModel and counts what it ran. */
export class FakeModel implements EngineModel {
  readonly contextLength: number;
  readonly tokenCount: number;
  /** The tokens of each part of each pass. */
  readonly passes: number[][][] = [];
  /** Those of all passes. */
  get calls(): number[][] {
    return this.passes.flat();
  }
  /** Tokens that score() ran. */
  scored = 0;
  destroyed = false;
  private readonly chunk: number;
  private readonly logitsAfter: (tokens: readonly number[]) => Float32Array;
  private readonly onPass: () => void;
  readonly cache: KvCache;

  constructor(options: FakeModelOptions) {
    this.contextLength = options.contextLength ?? 64;
    this.tokenCount = options.tokenCount;
    this.chunk = options.chunk ?? 16;
    this.logitsAfter = options.logitsAfter ?? ((tokens) => scatter(tokens, options.tokenCount));
    this.onPass = options.onPass ?? (() => {});
    const shape = {
      context: this.contextLength,
      page: 8,
      pages: options.pages ?? Math.ceil(this.contextLength / 8),
    };
    this.cache = new KvCache(shape, { setPages() {}, copyPage() {} });
  }

  open(like: readonly number[] = []): Sequence {
    return this.cache.open(like);
  }

  rowsOf(left: number): number {
    return Math.min(left, this.chunk);
  }

  async run(parts: readonly PassPart[], want: Want): Promise<Candidates[]> {
    for (const { sequence } of parts) expectOwn(sequence, this);
    if (this.destroyed) throw new Error("The model was destroyed.");
    this.passes.push(parts.map(({ tokens, first, count }) => tokens.slice(first, first + count)));
    this.onPass();
    await new Promise((resolve) => setTimeout(resolve));
    return parts.flatMap(({ sequence, tokens, first, count, drawn }) => {
      sequence.append(tokens, first, count);
      return Array.from({ length: drawn }, (_, d) =>
        select(this.logitsAfter(sequence.tokens.slice(0, sequence.length - drawn + 1 + d)), want),
      );
    });
  }

  /** A token at a time. */
  async score(sequence: Sequence, tokens: readonly number[]): Promise<Float32Array> {
    expectOwn(sequence, this);
    sequence.append(tokens, sequence.length, 1);
    this.scored++;
    return this.logitsAfter(sequence.tokens);
  }

  /** Of each window how many tokens it has. */
  async calibrate(
    windows: Iterable<readonly number[]>,
    { signal }: CalibrationOptions = {},
  ): Promise<Importance> {
    const importance = new Map<string, Float32Array>();
    for (const window of windows) {
      signal?.throwIfAborted();
      const sequence = this.open();
      sequence.reserve(window.length);
      try {
        this.passes.push([[...window]]);
        this.onPass();
        await new Promise((resolve) => setTimeout(resolve));
      } finally {
        sequence.discard();
      }
      importance.set(`window ${importance.size}`, Float32Array.of(window.length));
    }
    return importance;
  }

  destroy(): void {
    this.destroyed = true;
  }
}

function expectOwn(sequence: Sequence, model: FakeModel): void {
  if (sequence.cache !== model.cache) throw new Error("A sequence is another model's.");
}

/**
 * Has a model run ahead, greedily, without a pass that is submitted before the one before it is read.
 * @returns how many passes it runs so.
 */
export function runAheadOf(model: FakeModel): { passes: number } {
  const counted = { passes: 0 };
  const ahead: LanguageModel["ahead"] = async (rows) => {
    const tokens = rows.map(({ token }) => [token]);
    const parts = rows.map(({ sequence }, d) => {
      return { sequence, tokens: tokens[d]!, first: 0, count: 1, drawn: 1 };
    });
    return {
      milliseconds: 1,
      async next(goesOn = true) {
        if (!goesOn) return undefined;
        for (const { sequence } of rows) sequence.reserve(1);
        const drawn = await model.run(parts, "argmax");
        for (const [d, { ids }] of drawn.entries()) tokens[d]![0] = ids[0]!;
        counted.passes++;
        return drawn;
      },
      async end() {},
    };
  };
  Object.assign(model, { ahead });
  return counted;
}

/**
 * Snapshots of a model without arithmetic: eight bytes a position, of which the first tells the token.
 * @param identity What is told besides that it is a fake.
 * @param model Whose sequences alone may be written. Default: anybody's.
 */
export function fakeSnapshots(identity: Identity = {}, model?: FakeModel): Snapshots {
  const bytesOf = (token: number) => Uint8Array.of(token, 1, 2, 3, 4, 5, 6, 7);
  return {
    identify: async () => ({ fake: true, ...identity }),
    bytesOf: (positions) => 8 * positions,
    async *read(sequence) {
      for (const token of sequence.tokens) yield bytesOf(token);
    },
    async write(sequence, positions, next) {
      if (model) expectOwn(sequence, model);
      for (let i = 0; i < positions; i++) {
        sequence.placeOf(i);
        if ((await next(8)).length !== 8) throw new Error("too few bytes");
      }
    },
  };
}

/** What the kernels return of all logits: of equals the lower id comes first. */
function select(logits: Float32Array, want: Want): Candidates {
  if (want === "logits") return { ids: Uint32Array.from(logits.keys()), logits };
  const count = want === "argmax" ? 1 : MAX_CANDIDATES;
  const best: number[] = [];
  // Most are no candidates: sorting them all would be most of a test's time.
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id]!;
    if (best.length === count && logit <= logits[best.at(-1)!]!) continue;
    let at = best.length;
    while (at > 0 && logits[best[at - 1]!]! < logit) at--;
    best.splice(at, 0, id);
    best.length = Math.min(best.length, count);
  }
  return { ids: Uint32Array.from(best), logits: Float32Array.from(best, (id) => logits[id]!) };
}

/** Logits that look random and depend on every token and its place. */
export function scatter(tokens: readonly number[], count: number): Float32Array {
  let hash = tokens.reduce((h, token) => Math.imul(h ^ token, 16777619) + 1, 2166136261);
  const logits = new Float32Array(count);
  for (let id = 0; id < count; id++) {
    hash = Math.imul(hash ^ (hash >>> 15), 2246822519) + 1;
    logits[id] = ((hash >>> 8) / 2 ** 24) * 8 - 4;
  }
  return logits;
}

/** Logits that leave no doubt about the next token. */
export function certain(id: number, count: number): Float32Array {
  const logits = new Float32Array(count).fill(-20);
  logits[id] = 20;
  return logits;
}
