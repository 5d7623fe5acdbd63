import { describe, expect, it } from "vitest";
import { attention, attentionDecode, attentionPrefill } from "../../src/kernels/attention.ts";
import type { AttentionShape, CacheFormat } from "../../src/kernels/cache.ts";
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

const RUNGS = [
  ["highest", {}],
  ["core", { rung: "core" }],
] as const;
const FORMATS: readonly CacheFormat[] = ["f16", "f32"];

/** [heads, kvHeads, headDim] */
const HEADS = [
  [1, 1, 32],
  [3, 3, 80],
  [4, 1, 64],
  [8, 2, 128],
  [2, 1, 96],
] as const;

/** [rows recorded, rows that are tokens, position] */
const PASSES = [
  [1, 1, 0],
  [2, 2, 1],
  [7, 5, 0],
  [16, 16, 63],
  [17, 17, 64],
  [33, 33, 65],
  [70, 65, 0],
  [3, 2, 200],
  [1, 1, 300],
] as const;

describe.each(RUNGS)("attention on the %s rung", (_, options) => {
  const gpu = useGpu({ ...testDeviceOptions(), ...options });

  describe.each(FORMATS)("with a cache stored as %s", (cache) => {
    /** Runs a pass over random queries and a random cache that is NaN past the tokens there are. */
    async function run(
      kernel: typeof attentionDecode,
      shape: AttentionShape,
      [rows, tokens, position]: readonly [number, number, number],
    ) {
      const { heads, kvHeads, headDim, context } = shape;
      const width = (heads + 2 * kvHeads) * headDim;
      const qkv = randomFloats(rows * width, 1);
      const [keys, values] = [2, 3].map((seed) => {
        const all = randomFloats(kvHeads * context * headDim, seed);
        for (let head = 0; head < kvHeads; head++) {
          const [from, to] = [head * context + position + tokens, (head + 1) * context];
          all.fill(Number.NaN, from * headDim, to * headDim);
        }
        return cacheWords(all, cache);
      }) as [Uint32Array, Uint32Array];
      const y = upload(gpu(), new Float32Array(rows * heads * headDim).fill(UNTOUCHED));
      const dispatch = (await kernel(gpu(), shape, rows))({
        qkv: upload(gpu(), qkv),
        keys: upload(gpu(), keys),
        values: upload(gpu(), values),
        y,
        step: uploadStep(gpu(), position, tokens),
      });
      const got = await runAndReadFloats(gpu(), [dispatch], y);
      const wanted = attentionOracle(
        shape,
        qkv.subarray(0, tokens * width),
        cacheValues(keys, cache),
        cacheValues(values, cache),
        position,
      );
      return { got, wanted };
    }

    describe.each([
      ["decode", attentionDecode],
      ["prefill", attentionPrefill],
    ] as const)("%s", (_, kernel) => {
      it.each(HEADS)(
        "of %i query and %i key heads of %i agrees with float64",
        async (heads, kvHeads, headDim) => {
          const shape = { heads, kvHeads, headDim, context: 301, cache };
          for (const pass of PASSES) {
            const { got, wanted } = await run(kernel, shape, pass);
            expectClose(got.subarray(0, wanted.length), wanted, { relative: RELATIVE });
            expect(got.subarray(wanted.length, pass[0] * heads * headDim).every((v) => v === UNTOUCHED)).toBe(
              true,
            );
          }
        },
      );
    });
  });
});

describe("attention", () => {
  const gpu = useGpu();

  it("agrees with float64 at the widths of 13B, one row and many", async () => {
    const shape: AttentionShape = { heads: 40, kvHeads: 40, headDim: 128, context: 160, cache: "f16" };
    const cells = 40 * 160 * 128;
    const [keys, values] = [
      cacheWords(randomFloats(cells, 2), "f16"),
      cacheWords(randomFloats(cells, 3), "f16"),
    ];
    for (const [tokens, position] of [
      [1, 150],
      [40, 100],
    ] as const) {
      const qkv = randomFloats(tokens * 3 * 5120, 1);
      const y = upload(gpu(), new Float32Array(tokens * 5120));
      const kernel = await attention(gpu(), shape, tokens);
      const dispatch = kernel({
        qkv: upload(gpu(), qkv),
        keys: upload(gpu(), keys),
        values: upload(gpu(), values),
        y,
        step: uploadStep(gpu(), position, tokens),
      });
      const got = await runAndReadFloats(gpu(), [dispatch], y);
      const wanted = attentionOracle(
        shape,
        qkv,
        cacheValues(keys, "f16"),
        cacheValues(values, "f16"),
        position,
      );
      expectClose(got, wanted, { relative: RELATIVE });
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
