import { describe, expect, it } from "vitest";
import { ATTENTION_MERGE, ATTENTION_SPLIT, splitBytes } from "../../src/kernels/attention-split.ts";
import { isMixed } from "../../src/kernels/cache.ts";
import { ARITHMETICS, vectorBytes } from "../../src/kernels/vector.ts";
import { prepare, waysFor } from "../../src/kernels/way.ts";
import { attentionOracle, mixOracle } from "../oracle/attention.ts";
import { cacheValues, cacheWords } from "../support/cache.ts";
import { expectClose } from "../support/close.ts";
import { runAndRead, upload, useGpu } from "../support/gpu.ts";
import { randomFloats } from "../support/random.ts";
import { onePage, uploadRows } from "../support/rows.ts";
import { readVector } from "../support/vector.ts";

/** As in attention.test.ts; the shares of the splits are weighed by exponentials of their own. */
const RELATIVE = 5e-5;

/** [heads, kvHeads, headDim, cache, context] */
const HEADS = [
  [1, 1, 32, "f32", 40],
  [4, 2, 64, "f16", 700],
  [2, 1, 128, "f16", 2048],
  [1, 1, 32, "q4", 40],
  [4, 2, 64, "q8", 700],
  [2, 2, 96, "q4", 300],
] as const;

/** The heads of 13B, at the end of its context. */
const SHIPPED = [40, 40, 128, "q4", 2048] as const;

const gpu = useGpu();

describe.each(ATTENTION_SPLIT.ways.map(({ name }) => name))("attention split, %s, and merge", (way) => {
  it.each([...HEADS, SHIPPED])(
    "of %i query and %i key heads of %i with a cache as %s of %i positions agree with float64",
    async (heads, kvHeads, headDim, cache, context) => {
      const splits = Math.ceil(context / 256);
      const shape = {
        ...onePage({ heads, kvHeads, headDim, context, cache }),
        splits,
        arithmetic: "f32",
      } as const;
      if (!waysFor(gpu(), ATTENTION_SPLIT, shape).some(({ name }) => name === way)) return;
      const few = heads === SHIPPED[0];
      const positions = few
        ? [context - 1]
        : [0, 1, 31, 255, 256, 300, context - 1].filter((p) => p < context);
      const q = randomFloats(heads * headDim, 1, 2);
      const [keys, values] = [2, 3].map((seed) =>
        cacheWords(randomFloats(kvHeads * context * headDim, seed), cache),
      );
      const parts = gpu().buffer("parts", splitBytes(shape, splits));
      const stored = gpu().buffer("stored", vectorBytes("f32", heads * headDim));
      const split = await prepare(gpu(), ATTENTION_SPLIT, shape, way);
      const merge = (await prepare(gpu(), ATTENTION_MERGE, shape))({ shares: parts, stored });
      for (const position of positions) {
        const dispatch = split({
          q: upload(gpu(), q),
          keys: upload(gpu(), keys!),
          values: upload(gpu(), values!),
          parts,
          rows: uploadRows(gpu(), [{ position }]),
          pages: upload(gpu(), new Uint32Array(1)),
        });
        const words = await runAndRead(gpu(), [dispatch, merge], stored);
        const qkv = new Float32Array((heads + 2 * kvHeads) * headDim);
        qkv.set(q);
        const [k, v] = [cacheValues(keys!, cache), cacheValues(values!, cache)];
        const sums = attentionOracle(shape, qkv, k, v, position);
        const wanted = isMixed(cache) ? mixOracle(sums) : sums;
        expectClose(readVector("f32", words, heads * headDim).values, wanted, { relative: RELATIVE });
      }
    },
  );
});

it.each(ARITHMETICS)("attention of keys that are no numbers is none, as %s", async (arithmetic) => {
  const [heads, headDim, context] = [1, 32, 600];
  const splits = 3;
  const shape = {
    ...onePage({ heads, kvHeads: 1, headDim, context, cache: "f32" }),
    splits,
    arithmetic,
  } as const;
  for (const at of [0, 599]) {
    const keys = randomFloats(context * headDim, 2);
    keys[at * headDim] = Number.NaN;
    const parts = gpu().buffer("parts", splitBytes(shape, splits));
    const stored = gpu().buffer("stored", vectorBytes(arithmetic, headDim));
    const split = (await prepare(gpu(), ATTENTION_SPLIT, shape))({
      q: upload(gpu(), randomFloats(headDim, 1)),
      keys: upload(gpu(), keys),
      values: upload(gpu(), randomFloats(context * headDim, 3)),
      parts,
      rows: uploadRows(gpu(), [{ position: context - 1 }]),
      pages: upload(gpu(), new Uint32Array(1)),
    });
    const merge = (await prepare(gpu(), ATTENTION_MERGE, shape))({ shares: parts, stored });
    const { values } = readVector(arithmetic, await runAndRead(gpu(), [split, merge], stored), headDim);
    expect(values.every(Number.isNaN)).toBe(true);
  }
});
