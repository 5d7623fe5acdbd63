import { describe, expect, it, vi } from "vitest";
import { isWrong } from "../../src/model/check/checked.ts";
import type { Candidates, PassPart } from "../../src/model/language-model.ts";
import type { LlamaModel } from "../../src/model/model.ts";
import { KvCache, type Sequence } from "../../src/model/sequence.ts";
import { breaking, type Changes } from "../support/broken.ts";
import { randomFolder } from "../support/checkpoint.ts";
import { expectClose } from "../support/close.ts";
import { useGpu } from "../support/gpu.ts";
import { loadModel } from "../support/load.ts";

/** As in model.test.ts: the same sums in another order, and rows rounded to 8 bits that lie near the middle of two. */
const ORDER = { relative: 1e-2 };

const gpu = useGpu();

/** What three sequences begin with, of different lengths, and tokens that follow. */
const BEGINNINGS = [23, 9, 17].map((count, s) => Array.from({ length: count }, (_, i) => (i * 37 + s) % 300));
const FOLLOWING = [
  [5, 60],
  [71, 8, 9],
  [105, 6, 77],
];

async function withModel<T>(
  decode: string | undefined,
  work: (model: LlamaModel) => Promise<T>,
  { on = gpu(), check = false } = {},
): Promise<T> {
  const { open } = randomFolder({ num_key_value_heads: 2 }, 7);
  const model = await loadModel(on, open, {
    check,
    weights: "q4",
    cache: "q8",
    chunk: 32,
    cacheTokens: 512,
    ...(decode === undefined ? {} : { decode }),
  });
  try {
    return await work(model);
  } finally {
    model.destroy();
  }
}

/** Sequences that hold the beginnings. */
async function begin(model: LlamaModel): Promise<Sequence[]> {
  const sequences: Sequence[] = [];
  for (const tokens of BEGINNINGS) {
    const sequence = model.open();
    await model.forward(sequence, tokens, "argmax");
    sequences.push(sequence);
  }
  return sequences;
}

/** The logits after each of the following tokens, one pass a token. */
async function alone(model: LlamaModel): Promise<Float32Array[][]> {
  const rows: Float32Array[][] = [];
  for (const [s, sequence] of (await begin(model)).entries()) {
    const own: Float32Array[] = [];
    for (const id of FOLLOWING[s]!) {
      own.push((await model.forward(sequence, [id], "logits")).logits.slice());
    }
    sequence.discard();
    rows.push(own);
  }
  return rows;
}

function part(sequence: Sequence, s: number, count: number, drawn: number): PassPart {
  sequence.reserve(count);
  const held = sequence.length - BEGINNINGS[s]!.length;
  return { sequence, tokens: FOLLOWING[s]!, first: held, count, drawn };
}

const logitsOf = (candidates: readonly Candidates[]) => candidates.map(({ logits }) => logits.slice());

describe("a decode pass of several rows", () => {
  it("is made again after it could not be, and leaves nothing of the first time", async () => {
    await withModel(undefined, async (model) => {
      const [a, b] = (await begin(model)) as [Sequence, Sequence];
      const several = () => [part(a, 0, 1, 1), part(b, 1, 1, 1)];
      const before = gpu().allocated;
      const bind = vi.spyOn(gpu().device, "createComputePipelineAsync").mockRejectedValue(new Error("no"));
      await expect(model.run(several(), "argmax", "decode")).rejects.toThrow("makes no pipeline");
      bind.mockRestore();
      expect(gpu().allocated).toBe(before);
      // What else was compiling fails a moment later.
      await vi.waitFor(
        async () => expect(await model.run(several(), "argmax", "decode")).toHaveLength(2),
        60_000,
      );
    });
  });

  it("gives each the bits that it gives alone, whatever sequences they are of", async () => {
    await withModel(undefined, async (model) => {
      expect(model.decoding.set).toBe("fused");
      const wanted = await alone(model);
      const [a, b, c] = (await begin(model)) as [Sequence, Sequence, Sequence];
      const first = [part(a, 0, 1, 1), part(b, 1, 3, 3), part(c, 2, 1, 1)];
      const five = logitsOf(await model.run(first, "logits", "decode"));
      expect(five).toEqual([wanted[0]![0], ...wanted[1]!, wanted[2]![0]]);
      expect(new Set(five.map((logits) => logits[0])).size).toBe(5);
      const second = [part(a, 0, 1, 1), part(c, 2, 1, 1)];
      expect(logitsOf(await model.run(second, "logits", "decode"))).toEqual([wanted[0]![1], wanted[2]![1]]);
      expect([a.length, b.length, c.length]).toEqual([25, 12, 19]);
    });
  });

  it("draws of the rows that are asked for alone, or of none", async () => {
    await withModel(undefined, async (model) => {
      const wanted = await alone(model);
      const [a, b, c] = (await begin(model)) as [Sequence, Sequence, Sequence];
      const some = [part(a, 0, 1, 0), part(b, 1, 2, 1), part(c, 2, 2, 1)];
      expect(logitsOf(await model.run(some, "logits", "decode"))).toEqual([wanted[1]![1], wanted[2]![1]]);
      const none = [part(a, 0, 1, 0), part(b, 1, 1, 0)];
      expect(await model.run(none, "logits", "decode")).toEqual([]);
      const [best] = await model.run([part(c, 2, 1, 1)], "argmax", "decode");
      expect(best!.logits[0]).toBe(Math.max(...wanted[2]![2]!));
      expect([a.length, b.length, c.length]).toEqual([25, 12, 20]);
    });
  });

  it("runs on the kernels of prompts where one row has none of its own", async () => {
    await withModel("plain", async (model) => {
      const wanted = await alone(model);
      const [a, b] = (await begin(model)) as [Sequence, Sequence];
      const several = [part(a, 0, 1, 1), part(b, 1, 2, 1)];
      const [one, last] = logitsOf(await model.run(several, "logits", "decode"));
      expectClose(one!, wanted[0]![0]!, ORDER);
      expectClose(last!, wanted[1]![1]!, ORDER);
    });
  });

  it("runs ahead with all of them, to the tokens that each chooses alone", async () => {
    await withModel(undefined, async (model) => {
      const draws = { options: { temperature: 0.9, top_k: 8, top_p: 1, min_p: 0, seed: 5 }, before: 0 };
      const rowsOf = (sequences: readonly Sequence[]) =>
        sequences.slice(0, 2).map((sequence, s) => ({
          sequence,
          token: FOLLOWING[s]![0]!,
          draws: s === 1 ? draws : undefined,
        }));
      const chosen = async (rows: ReturnType<typeof rowsOf>) => {
        const run = (await model.ahead(rows, 4))!;
        const ids: number[][] = [];
        for (let i = 0; i < 4; i++)
          ids.push((await run.next())!.slice(0, rows.length).map(({ ids }) => ids[0]!));
        await run.end();
        return ids;
      };
      const together = await chosen(rowsOf(await begin(model)));
      const alone = await begin(model);
      for (const [s, row] of rowsOf(alone).entries()) {
        expect((await chosen([row])).flat()).toEqual(together.map((ids) => ids[s]));
      }
      expect(together.some(([one, other]) => one !== other)).toBe(true);
    });
  });

  it("takes no more rows than there is room for, and none of another model", async () => {
    await withModel(undefined, async (model) => {
      const sequence = model.open();
      sequence.reserve(17);
      const rows = { sequence, tokens: BEGINNINGS[0]!, first: 0, count: 17, drawn: 0 };
      await expect(model.run([rows], "argmax", "decode")).rejects.toThrow("A pass takes 1 to 16 rows");
      const others = new KvCache(model.state.cache.shape, { setPages() {}, copyPage() {} }).open();
      others.reserve(1);
      const row = { ...rows, sequence: others, count: 1 };
      await expect(model.run([row], "argmax", "decode")).rejects.toThrow("sequences of its own model");
    });
  });
});

/** What the rows of the first pass of each of these give: of three sequences, of one of them three tokens in a row. */
function several([a, b, c]: readonly Sequence[]): PassPart[] {
  return [part(a!, 0, 1, 1), part(b!, 1, 3, 3), part(c!, 2, 1, 1)];
}

describe("the check of a decode pass of several rows", () => {
  /** Where a row of several goes wrong that alone does not, and the kernels that it shows in. */
  const WRONG: Record<string, Changes> = {
    "embed group": { embed_group: ["rows.row[token]", "rows.row[0u]"] },
    qkv: { qkv: ["let token = firstToken + t;", "let token = firstToken;"] },
  };

  it("finds nothing wrong, and leaves the cache as it was", async () => {
    await withModel(
      undefined,
      async (model) => {
        const wanted = await alone(model);
        const sequences = await begin(model);
        const before = model.checked.length;
        const five = logitsOf(await model.run(several(sequences), "logits", "decode"));
        expect(five).toEqual([wanted[0]![0], ...wanted[1]!, wanted[2]![0]]);
        const found = model.checked.slice(before);
        expect(found.filter(isWrong)).toEqual([]);
        const kernels = ["embed group", "qkv", "attention split", "attention merge", "add", "gate", "head"];
        expect(new Set(found.map(({ kernel }) => kernel))).toEqual(
          new Set([...kernels, "penalise", "sample", "advance"]),
        );
        expect(new Set(found.map(({ way }) => way.endsWith(", 8 rows")))).toEqual(new Set([true]));
        // What was compiled before is not looked at again.
        await model.run([part(sequences[0]!, 0, 1, 1), part(sequences[2]!, 2, 1, 1)], "logits", "decode");
        const seen = model.checked.length;
        await model.run([part(sequences[2]!, 2, 1, 1)], "logits", "decode");
        expect(model.checked.length).toBe(seen);
      },
      { check: true },
    );
  });

  it.each(Object.keys(WRONG))("does without one that is wrong in %s: rows go one by one", async (kernel) => {
    const on = breaking(gpu(), WRONG[kernel]!);
    const allocated = gpu().allocated;
    await withModel(
      undefined,
      async (model) => {
        const wanted = await alone(model);
        const sequences = await begin(model);
        const five = logitsOf(await model.run(several(sequences), "logits", "decode"));
        expect(five).toEqual([wanted[0]![0], ...wanted[1]!, wanted[2]![0]]);
        const wrong = model.checked.filter(isWrong);
        expect(wrong.map((one) => one.kernel)).toContain(kernel);
        expect(wrong.filter(({ way }) => !way.endsWith(", 8 rows"))).toEqual([]);
        expect(on.wrong.size).toBe(0);
        const rows = sequences.map((sequence) => ({ sequence, token: 5, draws: undefined }));
        expect(await model.ahead([...rows, ...rows].slice(0, 5), 4)).toBeUndefined();
      },
      { on, check: true },
    );
    expect(gpu().allocated).toBe(allocated);
  });
});
