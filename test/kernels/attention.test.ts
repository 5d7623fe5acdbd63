import { describe, expect, it } from "vitest";
import { type Attention, attention, attentionDecode, attentionPrefill } from "../../src/kernels/attention.ts";
import type { AttentionShape } from "../../src/kernels/cache.ts";
import type { Gpu } from "../../src/kernels/device.ts";
import { attentionOracle } from "../oracle/attention.ts";
import { cacheValues, cacheWords } from "../support/cache.ts";
import { expectClose } from "../support/close.ts";
import { runAndReadFloats, testDeviceOptions, upload, uploadStep, useGpu } from "../support/gpu.ts";
import { randomFloats } from "../support/random.ts";

/**
 * A score is an f32 sum that reaches 100 where outliers of q and k meet, and WGSL bounds exp(x) to 3 + 2 |x| units of
 * 2⁻²⁴: a weight may be off by some 200 units, 1e-5 of itself, and the scores' own rounding adds as much again.
 */
const RELATIVE = 5e-5;

/** What stands in y before a pass, to see which rows it wrote. */
const UNTOUCHED = 12345;

/** [rows recorded, rows that are tokens, position] */
const FEW_ROWS = [
  [1, 1, 0],
  [2, 2, 1],
  [7, 5, 0],
  [3, 2, 63],
  [2, 2, 64],
  [1, 1, 200],
  [4, 4, 560],
] as const;
const MANY_ROWS = [
  [1, 1, 0],
  [2, 2, 1],
  [7, 5, 0],
  [16, 16, 63],
  [17, 17, 64],
  [33, 33, 65],
  [70, 65, 0],
  [3, 2, 200],
] as const;

/** As shipped: 128 rows of a pass, a context of 2,048 that is full at last. */
const LONG_CONTEXT = 2048;
const LONG = {
  few: [
    [1, 1, 2047],
    [3, 2, 1300],
  ],
  many: [
    [128, 128, 1920],
    [128, 77, 1030],
  ],
} as const;

const KERNELS = [
  ["decode on the highest rung", attentionDecode, FEW_ROWS, {}],
  ["decode on the core rung", attentionDecode, FEW_ROWS, { rung: "core" }],
  ["prefill", attentionPrefill, MANY_ROWS, {}],
] as const;

/** [heads, kvHeads, headDim, cache]; heads of 128 with an f16 cache have a test of their own. */
const HEADS = [
  [1, 1, 16, "f16"],
  [1, 1, 32, "f32"],
  [4, 1, 64, "f16"],
  [3, 3, 80, "f16"],
  [2, 1, 96, "f16"],
  [8, 2, 128, "f32"],
] as const;

describe.each(KERNELS)("attention, %s,", (_, kernel, passes, options) => {
  const gpu = useGpu({ ...testDeviceOptions(), ...options });

  it.each(HEADS)(
    "of %i query and %i key heads of %i with a cache stored as %s agrees with float64",
    async (heads, kvHeads, headDim, cache) => {
      const shape = { heads, kvHeads, headDim, context: 570, cache };
      for (const [rows, tokens, position] of passes) {
        const pass = randomPass(shape, rows, tokens, position);
        const got = await run(gpu(), await kernel(gpu(), shape, rows), pass);
        const wanted = oracle(shape, pass);
        expectClose(got.subarray(0, wanted.length), wanted, { relative: RELATIVE });
        const rest = got.subarray(wanted.length, rows * heads * headDim);
        expect(rest.every((value) => value === UNTOUCHED)).toBe(true);
      }
    },
  );

  it("agrees with float64 at the shipped scale", async () => {
    const shape = { heads: 2, kvHeads: 1, headDim: 128, context: LONG_CONTEXT, cache: "f16" } as const;
    for (const [rows, tokens, position] of kernel === attentionPrefill ? LONG.many : LONG.few) {
      const pass = randomPass(shape, rows, tokens, position);
      const got = await run(gpu(), await kernel(gpu(), shape, rows), pass);
      const wanted = oracle(shape, pass);
      expectClose(got.subarray(0, wanted.length), wanted, { relative: RELATIVE });
    }
  });
});

describe("attention", () => {
  const gpu = useGpu();

  it.each([
    [1, 150],
    [40, 100],
  ])("of %i rows at position %i agrees with float64 at the widths of 13B", async (tokens, position) => {
    const shape: AttentionShape = { heads: 40, kvHeads: 40, headDim: 128, context: 160, cache: "f16" };
    const pass = randomPass(shape, tokens, tokens, position);
    const got = await run(gpu(), await attention(gpu(), shape, tokens), pass);
    const wanted = oracle(shape, pass);
    expectClose(got.subarray(0, wanted.length), wanted, { relative: RELATIVE });
  });

  it("gives NaN, and no number, where a key that a row sees is NaN", async () => {
    const shape: AttentionShape = { heads: 1, kvHeads: 1, headDim: 32, context: 40, cache: "f32" };
    for (const kernel of [attentionDecode, attentionPrefill]) {
      const pass = randomPass(shape, 3, 3, 20);
      pass.keys[21 * 32 + 5] = 0x7fc00000;
      const got = await run(gpu(), await kernel(gpu(), shape, 3), pass);
      const isNan = (row: number) => got.subarray(row * 32, (row + 1) * 32).every(Number.isNaN);
      expect([0, 1, 2].map(isNan)).toEqual([false, true, true]);
    }
  });

  it("refuses the shapes that the kernels do not take, by number", async () => {
    const shape: AttentionShape = { heads: 4, kvHeads: 2, headDim: 64, context: 8, cache: "f16" };
    await expect(attention(gpu(), { ...shape, headDim: 144 }, 1)).rejects.toThrow("144");
    await expect(attention(gpu(), { ...shape, headDim: 40 }, 1)).rejects.toThrow("40");
    await expect(attention(gpu(), { ...shape, kvHeads: 3 }, 2)).rejects.toThrow("found 4 and 3");
    await expect(attention(gpu(), { ...shape, context: 0 }, 2)).rejects.toThrow("asked for 0");
  });
});

interface Pass {
  readonly rows: number;
  readonly tokens: number;
  readonly position: number;
  readonly qkv: Float32Array;
  readonly keys: Uint32Array;
  readonly values: Uint32Array;
}

/** Random queries and a random cache; rows that are no tokens, and positions past them, are NaN. */
function randomPass(shape: AttentionShape, rows: number, tokens: number, position: number): Pass {
  const { heads, kvHeads, headDim, context, cache } = shape;
  const width = (heads + 2 * kvHeads) * headDim;
  const qkv = randomFloats(rows * width, 1).fill(Number.NaN, tokens * width);
  const filled = (seed: number) => {
    const all = randomFloats(kvHeads * context * headDim, seed);
    for (let head = 0; head < kvHeads; head++) {
      const end = (head + 1) * context * headDim;
      all.fill(Number.NaN, (head * context + position + tokens) * headDim, end);
    }
    return cacheWords(all, cache);
  };
  return { rows, tokens, position, qkv, keys: filled(2), values: filled(3) };
}

async function run(gpu: Gpu, kernel: Attention, { qkv, keys, values, ...pass }: Pass): Promise<Float32Array> {
  const y = upload(gpu, new Float32Array(qkv.length).fill(UNTOUCHED));
  const dispatch = kernel({
    qkv: upload(gpu, qkv),
    keys: upload(gpu, keys),
    values: upload(gpu, values),
    y,
    step: uploadStep(gpu, pass.position, pass.tokens),
  });
  return runAndReadFloats(gpu, [dispatch], y);
}

function oracle(shape: AttentionShape, { qkv, keys, values, position, rows, tokens }: Pass): Float64Array {
  const [k, v] = [cacheValues(keys, shape.cache), cacheValues(values, shape.cache)];
  return attentionOracle(shape, qkv.subarray(0, (qkv.length / rows) * tokens), k, v, position);
}
