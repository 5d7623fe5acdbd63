import { describe, expect, it } from "vitest";
import { OptionError } from "../../src/errors.ts";
import type { CacheFormat } from "../../src/kernels/cache.ts";
import { memoryOf } from "../../src/model/memory.ts";
import type { Sequence } from "../../src/model/sequence.ts";
import { randomFolder } from "../support/checkpoint.ts";
import { useGpu } from "../support/gpu.ts";
import { loadModel } from "../support/load.ts";

const GQA = { num_key_value_heads: 2 };
/** A whole page and nine positions of another. */
const TOKENS = Array.from({ length: 41 }, (_, i) => (i * 37 + 11) % 300);
const [FIRST, SECOND] = [
  [5, 6, 7, 8, 9],
  [105, 106, 107, 108, 109],
];

const gpu = useGpu();

async function sharingModel(cache: CacheFormat) {
  const { open } = randomFolder(GQA, 7);
  const model = await loadModel(gpu(), open, { cache, chunk: 16, cacheTokens: 512 });
  const rowOf = async (sequence: Sequence, id: number) =>
    (await model.forward(sequence, [id], "logits")).logits.slice();
  const rowsOf = async (sequence: Sequence, ids: readonly number[]) => {
    const rows: Float32Array[] = [];
    for (const id of ids) rows.push(await rowOf(sequence, id));
    return rows;
  };
  return { model, rowOf, rowsOf };
}

/** One that stores values, and one that stores codes and words: test/model/snapshots.test.ts has all. */
const FORMATS: readonly CacheFormat[] = ["f16", "q4"];

describe.each(FORMATS)("sequences that share what they begin with, cached as %s", (cache) => {
  it("give, in turns, the bits that each gives alone", async () => {
    const { model, rowOf, rowsOf } = await sharingModel(cache);
    const sequence = model.open();
    await model.forward(sequence, TOKENS, "argmax");
    const alone: Float32Array[][] = [];
    for (const ids of [FIRST, SECOND]) {
      alone.push(await rowsOf(sequence, ids));
      sequence.truncate(TOKENS.length);
    }
    const fork = sequence.fork();
    for (const i of FIRST.keys()) {
      expect(await rowOf(sequence, FIRST[i]!)).toEqual(alone[0]![i]);
      expect(await rowOf(fork, SECOND[i]!)).toEqual(alone[1]![i]);
    }
    // One that is open, and one that was released and is kept as it is.
    for (const release of [() => {}, () => sequence.release()]) {
      release();
      const third = model.open([...TOKENS, ...FIRST.slice(0, 2), ...SECOND]);
      expect(third.tokens).toEqual([...TOKENS, ...FIRST.slice(0, 2)]);
      await rowsOf(third, SECOND);
      third.truncate(TOKENS.length);
      expect(await rowsOf(third, SECOND)).toEqual(alone[1]);
      third.discard();
    }
    const again = model.open([...TOKENS, ...FIRST, 1]);
    expect(again.tokens).toEqual([...TOKENS, ...FIRST]);
    again.truncate(TOKENS.length + 1);
    expect(await rowOf(again, FIRST[1]!)).toEqual(alone[0]![1]);
    model.destroy();
  });
});

it("keeps several conversations, as many tokens as there are to be, and counts them", async () => {
  const { model } = await sharingModel("f16");
  const texts = [0, 1].map((shift) => Array.from({ length: 250 }, (_, i) => (i * 37 + shift + 11) % 300));
  for (const text of texts) {
    const sequence = model.open(text);
    await model.forward(sequence, text.slice(sequence.length), "argmax");
    sequence.release();
  }
  for (const text of texts) expect(model.open([...text, 1]).length).toBe(250);
  model.destroy();

  const { config, open } = randomFolder(GQA, 7);
  const storage = { formatOf: () => "f16" as const, cache: "f16" as const, context: 256, chunk: 16 };
  const { cache } = memoryOf(config, storage);
  expect(memoryOf(config, { ...storage, cacheTokens: 512 }).cache).toBe(2 * cache);
  const loading = loadModel(gpu(), open, { context: 200, cacheTokens: 199 });
  await expect(loading).rejects.toThrow(OptionError);
  await expect(loading).rejects.toThrow("cacheTokens is 199; wanted an integer of at least 200.");
});
