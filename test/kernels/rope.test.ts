import { describe, expect, it } from "vitest";
import type { Gpu } from "../../src/gpu/device.ts";
import {
  type AttentionShape,
  CACHE_FORMATS,
  type CacheFormat,
  cacheBytes,
  isMixed,
} from "../../src/kernels/cache.ts";
import { ROPE, ropeTable } from "../../src/kernels/rope.ts";
import { prepare } from "../../src/kernels/way.ts";
import { groupPairs, mixOracle, ropeAngle, rotateOracle } from "../oracle/attention.ts";
import { cacheValues, cacheWords, expectStored } from "../support/cache.ts";
import { expectClose } from "../support/close.ts";
import { runAndRead, runAndReadFloats, upload, useGpu } from "../support/gpu.ts";
import { randomFloats } from "../support/random.ts";
import { onePage, rowsFrom, uploadRows } from "../support/rows.ts";

/** Two products and a sum in f32, of numbers twenty times the usual where an outlier is in the pair. */
const RELATIVE = 1e-5;

/** One unit of f32 below 1, from the rounding of the cosine itself. */
const TABLE_ABSOLUTE = 1.2e-7;

/** The inverse frequency and the angle are each rounded twice to f32 at most. */
const ANGLE_RELATIVE = 4 * 2 ** -24;

const THETA = 10000;

describe("ropeTable", () => {
  it.each([
    [128, 10000, 1],
    [64, 10000, 4],
    [80, 500000, 8],
  ])("of heads of %i, theta %i and factor %f is the formula's within f32", (headDim, theta, factor) => {
    const table = ropeTable(headDim, 2048, theta, factor);
    expect(table).toHaveLength(2048 * headDim);
    for (const position of [0, 1, 2, 63, 1000, 2047]) {
      for (let i = 0; i < headDim / 2; i++) {
        const angle = ropeAngle(position, i, headDim, theta, factor);
        const [cosine, sine] = table.subarray(position * headDim + 2 * i);
        const tolerance = TABLE_ABSOLUTE + ANGLE_RELATIVE * angle;
        expect(Math.abs(cosine! - Math.cos(angle))).toBeLessThanOrEqual(tolerance);
        expect(Math.abs(sine! - Math.sin(angle))).toBeLessThanOrEqual(tolerance);
      }
    }
  });

  /** [headDim, theta, factor, position, pair, cosine, sine], printed by PyTorch 1.13 from HF's expressions. */
  it.each([
    [128, 10000, 1, 1000, 3, -0.5994148254394531, 0.8004385232925415],
    [128, 10000, 1, 2047, 1, 0.717373251914978, 0.6966890096664429],
    [64, 10000, 4, 2047, 1, 0.8851137161254883, 0.4653748571872711],
    [80, 500000, 8, 2047, 1, -0.5045202374458313, 0.863399863243103],
    [80, 500000, 8, 2047, 39, 0.9999997615814209, 0.0007104473770596087],
  ])(
    "rounds as PyTorch does: heads of %i, theta %i, factor %f, position %i, pair %i",
    (headDim, theta, factor, position, pair, cosine, sine) => {
      const at = position * headDim + 2 * pair;
      const table = ropeTable(headDim, position + 1, theta, factor);
      expect(Math.abs(table[at]! - cosine)).toBeLessThanOrEqual(TABLE_ABSOLUTE);
      expect(Math.abs(table[at + 1]! - sine)).toBeLessThanOrEqual(TABLE_ABSOLUTE);
    },
  );
});

describe.each(CACHE_FORMATS)("rope with a cache stored as %s", (cache: CacheFormat) => {
  const gpu = useGpu();
  const sizes = [
    { heads: 1, kvHeads: 1, headDim: 32, rows: 1, tokens: 1, position: 0 },
    { heads: 3, kvHeads: 3, headDim: 80, rows: 7, tokens: 5, position: 1 },
    { heads: 3, kvHeads: 3, headDim: 96, rows: 7, tokens: 5, position: 15 },
    { heads: 8, kvHeads: 2, headDim: 64, rows: 33, tokens: 33, position: 64 },
    { heads: 4, kvHeads: 1, headDim: 48, rows: 17, tokens: 16, position: 200 },
    { heads: 40, kvHeads: 40, headDim: 128, rows: 3, tokens: 2, position: 65 },
    { heads: 2, kvHeads: 1, headDim: 128, rows: 128, tokens: 128, position: 1920 },
  ].filter(({ headDim }) => !isMixed(cache) || headDim % 32 === 0);
  it.each(sizes)(
    "$heads:$kvHeads heads of $headDim, $tokens tokens of $rows rows at $position",
    async (sizes) => {
      const { heads, kvHeads, headDim, rows, tokens, position } = sizes;
      const shape = onePage({ heads, kvHeads, headDim, context: position + tokens + 1, cache });
      const qkv = randomFloats(rows * (heads + 2 * kvHeads) * headDim, 1);
      const before = randomFloats(kvHeads * shape.context * headDim, 2);
      const got = await run(shape, rows, qkv, before, position, tokens);

      const wanted = Float64Array.from(qkv);
      const [keys, values] = [0, 1].map(() =>
        Float64Array.from(cacheValues(cacheWords(before, cache), cache)),
      );
      for (let t = 0; t < tokens; t++) {
        const angles = Array.from({ length: headDim / 2 }, (_, i) =>
          ropeAngle(position + t, i, headDim, THETA, 1),
        );
        for (let head = 0; head < heads + 2 * kvHeads; head++) {
          const from = (t * (heads + 2 * kvHeads) + head) * headDim;
          const x = Float64Array.from(qkv.subarray(from, from + headDim));
          const isKey = head < heads + kvHeads;
          const turned = isKey ? rotateOracle(x, angles) : x;
          const held = !isMixed(cache) ? turned : mixOracle(isKey ? groupPairs(turned) : turned);
          if (head < heads) {
            wanted.set(held, from);
          } else {
            const cacheHead = head - heads - (isKey ? 0 : kvHeads);
            (isKey ? keys! : values!).set(held, (cacheHead * shape.context + position + t) * headDim);
          }
        }
      }
      // Only q changes in qkv, and in the cache only the places of this pass's tokens.
      const relative = RELATIVE + ANGLE_RELATIVE * (position + tokens);
      expectClose(got.qkv.subarray(0, qkv.length), wanted, { relative });
      expectStored(got.keys, keys!, cache, relative);
      expectStored(got.values, values!, cache, isMixed(cache) ? RELATIVE : 0);
      const isOld = (i: number) => {
        const place = Math.floor(i / headDim) % shape.context;
        return place < position || place >= position + tokens;
      };
      const old = cacheValues(cacheWords(before, cache), cache);
      for (const after of [got.keys, got.values]) {
        expect(old.every((value, i) => !isOld(i) || after[i] === value)).toBe(true);
      }
    },
  );

  it("writes nothing past the cache", async () => {
    const shape = onePage({ heads: 2, kvHeads: 2, headDim: 32, context: 4, cache });
    const qkv = randomFloats(3 * 6 * 32, 1);
    const got = await run(shape, 3, qkv, new Float32Array(2 * 4 * 32), 3, 3);
    const filled = (head: number, position: number) =>
      got.values.subarray((head * 4 + position) * 32, (head * 4 + position + 1) * 32).some((v) => v !== 0);
    expect([0, 1].map((head) => [0, 1, 2, 3].map((p) => filled(head, p)))).toEqual([
      [false, false, false, true],
      [false, false, false, true],
    ]);
    expect(got.qkv.subarray(6 * 32)).toEqual(qkv.subarray(6 * 32));
  });

  async function run(
    shape: AttentionShape,
    rows: number,
    qkv: Float32Array,
    before: Float32Array,
    position: number,
    tokens: number,
  ) {
    const words = cacheWords(before, cache);
    const buffers = {
      qkv: upload(gpu(), qkv),
      table: upload(gpu(), ropeTable(shape.headDim, shape.context, THETA)),
      keys: upload(gpu(), words),
      values: upload(gpu(), words),
      rows: uploadRows(gpu(), rowsFrom(position, tokens)),
      pages: upload(gpu(), new Uint32Array(1)),
    };
    const dispatch = (await prepare(gpu(), ROPE, { ...shape, tokens: rows }))(buffers);
    return {
      qkv: await runAndReadFloats(gpu(), [dispatch], buffers.qkv),
      keys: cacheValues(await runAndRead(gpu(), [], buffers.keys), cache),
      values: cacheValues(await runAndRead(gpu(), [], buffers.values), cache),
    };
  }
});

/** The values of a cache of one position and one head, of which the first are given and the others 1. */
async function valuesStored(
  gpu: Gpu,
  cache: CacheFormat,
  headDim: number,
  first: readonly number[],
): Promise<Float32Array> {
  const shape = onePage({ heads: 1, kvHeads: 1, headDim, context: 1, cache });
  const qkv = new Float32Array(3 * headDim).fill(1);
  qkv.set(first, 2 * headDim);
  const buffers = {
    qkv: upload(gpu, qkv),
    table: upload(gpu, ropeTable(headDim, 1, THETA)),
    keys: gpu.buffer("keys", cacheBytes(shape)),
    values: gpu.buffer("values", cacheBytes(shape)),
    rows: uploadRows(gpu, rowsFrom(0, 1)),
    pages: upload(gpu, new Uint32Array(1)),
  };
  const dispatch = (await prepare(gpu, ROPE, { ...shape, tokens: 1 }))(buffers);
  return cacheValues(await runAndRead(gpu, [dispatch], buffers.values), cache);
}

describe("a cache stored as f16", () => {
  const gpu = useGpu();

  it("holds what rounds to the largest half", async () => {
    const values = await valuesStored(gpu(), "f16", 16, [65504, -65504, 65519.99, -65519.99]);
    expect([...values.subarray(0, 5)]).toEqual([65504, -65504, 65504, -65504, 1]);
  });

  // A clamped value would be a number again, and a wrong token: NaN comes out at the end as an error.
  it("holds NaN where a value is larger", async () => {
    const values = await valuesStored(gpu(), "f16", 16, [65520, -65520, 70000, -1e6, 3.4e38]);
    expect([...values.subarray(0, 6)]).toEqual([...Array(5).fill(Number.NaN), 1]);
  });

  it("holds NaN where a value is not finite", async () => {
    const { NaN: nan, POSITIVE_INFINITY: infinity } = Number;
    const values = await valuesStored(gpu(), "f16", 16, [nan, 1, 2, infinity, -infinity, 3]);
    expect([...values.subarray(0, 6)]).toEqual([nan, 1, 2, nan, nan, 3]);
  });
});

describe.each(["q8", "q4"] as const)("a cache stored as %s", (cache) => {
  const gpu = useGpu();
  const { NaN: nan, POSITIVE_INFINITY: infinity } = Number;

  it("holds a group of equal values, and one of zeros", async () => {
    const values = await valuesStored(gpu(), cache, 64, Array(32).fill(0));
    expect([...values.subarray(0, 32)]).toEqual(Array(32).fill(0));
    expectClose(mixOracle(values.subarray(32)), Array(32).fill(1), { relative: 2 ** -10 });
  });

  it("holds what mixes to no more than the largest half", async () => {
    // All signs are those of a row of the transform: one value of the group is √32 times as large, the others are 0.
    const values = await valuesStored(gpu(), cache, 64, Array(32).fill(-11580));
    expectStored(values.subarray(0, 32), mixOracle(Array(32).fill(-11580)), cache, RELATIVE);
  });

  // The group's scale and minimum are no numbers: what went wrong shows in the logits.
  it.each([
    ["a larger value", -11590],
    ["a value far too large", 3e38],
    ["NaN", nan],
    ["infinity", infinity],
    ["its opposite", -infinity],
  ])("holds NaN in all of a group with %s, and not in the next", async (_, value) => {
    const group = Math.abs(value) === 11590 ? Array(32).fill(value) : [1, value, 2];
    const values = await valuesStored(gpu(), cache, 64, group);
    expect(values.subarray(0, 32).every(Number.isNaN)).toBe(true);
    expect(values.subarray(32).some(Number.isNaN)).toBe(false);
  });
});
