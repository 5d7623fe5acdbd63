import { OptionError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Feature } from "../gpu/features.ts";
import type { Dispatch } from "../gpu/kernel.ts";
import { ReadbackRing } from "../gpu/readback-ring.ts";
import { type CalibrationOptions, calibrate, type Importance } from "./calibrate.ts";
import type { Inspector } from "./check/check.ts";
import type { Checked } from "./check/checked.ts";
import type { Config } from "./config.ts";
import type { Decode } from "./decode.ts";
import { drawnOf } from "./drawn.ts";
import type {
  Ahead,
  AheadRow,
  Candidates,
  LanguageModel,
  PassKind,
  PassPart,
  Want,
} from "./language-model.ts";
import { type Memory, memoryOf, type Storage } from "./memory.ts";
import {
  type AheadKind,
  destroyParts,
  type FewPass,
  type Parts,
  type Passes,
  type Wanted,
} from "./passes.ts";
import type { Prefill } from "./prefill.ts";
import { countRows, drawnAmong } from "./rows.ts";
import { RunAhead } from "./run-ahead.ts";
import { PassRunner } from "./runner.ts";
import type { Sequence } from "./sequence.ts";
import { soundParts } from "./sound.ts";
import type { State } from "./state.ts";
import type { Weights } from "./weights.ts";

interface ModelOptions extends Storage, Wanted {
  /** The tokenizer's length: logits of rows above it are never returned. */
  readonly tokenCount: number;
  /** Passes of a run that are submitted before the first of them is read: 1 waits for each. Default 4. */
  readonly depth?: number;
  /** Whether the kernels are held to known results before the weights come. Default false. */
  readonly check?: boolean;
}

/** Enough for the host to encode and read in the shadow of a pass, few to have run in vain when an answer ends. */
export const DEPTH = 4;

/** A LLaMA on the GPU: weights, state, and its passes recorded as flat lists of dispatches. */
export class LlamaModel implements LanguageModel {
  readonly config: Config;
  readonly tokenCount: number;
  readonly weights: Weights;
  /** What the passes share: the KV cache among it. */
  readonly state: State;
  /** The kernels of passes of one row. */
  readonly decoding: Decode;
  /** How its passes of several rows multiply. */
  readonly prefilling: Prefill;
  /** What it takes on the adapter, in bytes. */
  readonly memory: Memory;
  readonly gpu: Gpu;
  /** The dispatches of its passes, for those who time them. */
  readonly passes: Passes;
  private readonly parts: Parts;
  private readonly inspector: Inspector | undefined;
  private readonly runner: PassRunner;
  private readonly ring: ReadbackRing;
  private readonly drawn: ReturnType<typeof drawnOf>;

  /** Allocates, compiles and records. The weights are empty: uploadWeights() fills them. */
  static async create(gpu: Gpu, config: Config, options: ModelOptions): Promise<LlamaModel> {
    const { check = false } = options;
    return new LlamaModel(gpu, config, options, await soundParts(gpu, config, { ...options, check }));
  }

  private constructor(
    gpu: Gpu,
    config: Config,
    options: ModelOptions,
    { parts, passes, inspector }: Awaited<ReturnType<typeof soundParts>>,
  ) {
    const { tokenCount, depth = DEPTH } = options;
    this.gpu = gpu;
    this.config = config;
    this.memory = memoryOf(config, options);
    this.tokenCount = tokenCount;
    this.parts = parts;
    this.weights = parts.weights;
    this.state = parts.state;
    this.decoding = parts.decoding;
    this.prefilling = parts.prefilling;
    this.passes = passes;
    this.inspector = inspector;
    this.runner = new PassRunner(gpu, parts.state, parts.weights);
    this.drawn = drawnOf(parts.state, tokenCount);
    this.ring = new ReadbackRing(gpu, depth, this.drawn.chosen.words.at(-1)!.byteLength);
  }

  /**
   * What its kernels were found to be off, before the weights came, and those that are compiled later as they are: those that were
   * wrong it does without. Empty where nothing was checked.
   */
  get checked(): readonly Checked[] {
    return this.inspector?.checked ?? [];
  }

  /** What it runs on. */
  get adapter(): GPUAdapterInfo {
    return this.gpu.info;
  }

  /** What of the adapter it may use. */
  get features(): ReadonlySet<Feature> {
    return this.gpu.features;
  }

  get contextLength(): number {
    return this.state.attention.context;
  }

  open(like?: readonly number[]): Sequence {
    return this.state.cache.open(like);
  }

  /**
   * As run(), of tokens (at least one) in chunks: the logits of the last.
   * @throws ContextOverflowError before anything changes when they do not fit, and the signal's reason when aborted
   * between two chunks: those that ran stay in the sequence.
   */
  async forward(
    sequence: Sequence,
    tokens: readonly number[],
    want: Want,
    signal?: AbortSignal,
    onChunk?: (done: number) => void,
  ): Promise<Candidates> {
    if (tokens.length === 0) throw new OptionError("A forward pass needs at least one token.");
    this.admit(sequence, tokens);
    for (let at = 0; ; ) {
      signal?.throwIfAborted();
      const count = this.rowsOf(tokens.length - at);
      const isLast = at + count === tokens.length;
      const part = { sequence, tokens, first: at, count, drawn: isLast ? 1 : 0 };
      const [drawn] = await this.run([part], want, count === 1 ? "decode" : "prefill");
      at += count;
      onChunk?.(at);
      if (isLast) return drawn!;
    }
  }

  rowsOf(left: number): number {
    return this.runner.rowsOf(left);
  }

  async run(parts: readonly PassPart[], want: Want, kind: PassKind): Promise<readonly Candidates[]> {
    const { cache, rows: made } = this.state;
    const [rows, draws] = countRows(parts, kind, made.capacity, cache);
    const { decodeAt, prefill } = this.passes;
    const isSeveral = kind === "decode" && rows > 1 && this.decoding.set === "fused";
    const few = isSeveral ? await this.few(rows) : undefined;
    if (isSeveral && !few) return this.oneByOne(parts, want);
    const alone = kind === "decode" && rows === 1 ? decodeAt(parts[0]!.sequence.length) : prefill;
    const lists = few ?? alone;
    const run = few && draws > 0 ? parts.map((part) => ({ ...part, drawn: part.count })) : parts;
    const { source, words, candidates } = this.drawn[want];
    if (draws === 0) await this.runner.run(parts, lists.append, { kind });
    else {
      const read = { source, words: words[(few ? rows : draws) - 1]! };
      await this.runner.run(run, lists.draw[want], { kind, read });
    }
    return drawnAmong(candidates, run, parts);
  }

  /** As run() of a decode, a pass a row: what each gives is the same. */
  private async oneByOne(parts: readonly PassPart[], want: Want): Promise<readonly Candidates[]> {
    const drawn: Candidates[] = [];
    for (const { sequence, tokens, first, count, drawn: asked } of parts) {
      for (let i = 0; i < count; i++) {
        const isDrawn = i >= count - asked;
        const part = { sequence, tokens, first: first + i, count: 1, drawn: isDrawn ? 1 : 0 };
        // The next pass fills the same copy.
        const left = await this.run([part], want, "decode");
        drawn.push(...left.map(({ ids, logits }) => ({ ids: ids.slice(), logits: logits.slice() })));
      }
    }
    return drawn;
  }

  /** The pass of several rows, which may be compiled and checked now; nothing where there is none, or none that is right. */
  private few(rows: number): Promise<FewPass | undefined> {
    return this.runner.exclusively(async () => this.passes.few(rows));
  }

  async ahead(rows: readonly AheadRow[], most: number): Promise<Ahead | undefined> {
    const few = rows.length > 1 ? await this.few(rows.length) : undefined;
    if (rows.length > 1 && !few) return undefined;
    const { runner } = this;
    runner.acquire();
    try {
      for (const { sequence, token } of rows) this.admit(sequence, [token]);
      const { gpu, state, ring, passes, drawn } = this;
      const choice = rows.some(({ draws }) => draws) ? "candidates" : "argmax";
      const kind: AheadKind = rows.some(({ penalties }) => penalties) ? `penalised ${choice}` : choice;
      const dispatchesAt = (position: number) => (few ?? passes.decodeAt(position)).ahead[kind];
      const parts = { gpu, state, dispatchesAt, chosen: drawn.chosen, ring, pacing: runner.pacing };
      return new RunAhead(parts, rows, most, runner.release);
    } catch (error) {
      runner.release();
      throw error;
    }
  }

  /**
   * Logits of every position of `tokens`, in a sequence of their own: float32 [T, vocab_size] a chunk, padding rows of
   * the vocabulary included.
   */
  async *logits(tokens: readonly number[]): AsyncGenerator<Float32Array> {
    const sequence = this.open();
    try {
      this.admit(sequence, tokens);
      while (sequence.length < tokens.length) yield await this.score(sequence, tokens);
    } finally {
      sequence.discard();
    }
  }

  /**
   * Runs the next chunk of `tokens` behind what the sequence holds, which has room for it: the raw logits of each, padding rows of
   * the vocabulary included, float32 [count, vocab_size].
   */
  async score(sequence: Sequence, tokens: readonly number[]): Promise<Float32Array> {
    const { vocab_size: vocab } = this.config;
    const first = sequence.length;
    const count = Math.min(this.state.rows.capacity, tokens.length - first);
    const logits = new Float32Array(count * vocab);
    const part = { sequence, tokens, first, count, drawn: 0 };
    await this.runner.score(part, this.passes, vocab, new Uint32Array(logits.buffer));
    return logits;
  }

  /**
   * The importance of every matrix's columns over all tokens of `windows`, each run in a sequence of its own.
   * @param onProgress Called with the tokens run so far.
   * @throws OptionError when there are no tokens, and what forward() throws.
   */
  async calibrate(
    windows: Iterable<readonly number[]>,
    { signal, onProgress }: CalibrationOptions = {},
  ): Promise<Importance> {
    // Before it compiles: the pass may be over by then.
    this.runner.expectIdle();
    const { gpu, state, weights, passes } = this;
    const { runner, inspector } = this;
    const holds =
      inspector &&
      ((dispatches: readonly Dispatch[]) => runner.exclusively(() => inspector.hold(dispatches)));
    return calibrate({ gpu, set: passes.prefill.set, weights, state, holds }, windows, {
      signal,
      onProgress,
      admit: (sequence, window) => this.admit(sequence, window),
      run: (part, dispatches) => runner.run([part], dispatches),
    });
  }

  /** Releases every buffer; the device stays open. */
  destroy(): void {
    for (const part of [this.runner, this.ring, this.passes]) part.destroy();
    destroyParts(this.parts);
  }

  /** Refuses tokens that are not in the vocabulary or do not fit, before anything changes, and makes room for them. */
  private admit(sequence: Sequence, tokens: readonly number[]): void {
    const { vocab_size: vocab } = this.config;
    const wrong = tokens.find((id) => !Number.isInteger(id) || id < 0 || id >= vocab);
    if (wrong !== undefined) throw new OptionError(`Token id ${wrong} is not in the vocabulary of ${vocab}.`);
    sequence.reserve(tokens.length);
  }
}
