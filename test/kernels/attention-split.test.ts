import { describe, expect, it } from "vitest";
import { missingFeatures } from "../../src/gpu/features.ts";
import {
  ATTENTION_MERGE,
  ATTENTION_SPLIT,
  ATTENTION_WHOLE,
  splitBytes,
} from "../../src/kernels/attention-split.ts";
import { type CacheFormat, isMixed } from "../../src/kernels/cache.ts";
import { ARITHMETIC_NEEDS, ARITHMETICS, type Arithmetic, vectorBytes } from "../../src/kernels/vector.ts";
import { prepare } from "../../src/kernels/way.ts";
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

/** Whether the adapter has a way: none asks for a shape. */
const has = (way: string) => {
  const { needs } = ATTENTION_SPLIT.ways.find(({ name }) => name === way)!;
  return missingFeatures(needs, gpu().features).length === 0;
};

type Heads = readonly [heads: number, kvHeads: number, headDim: number, cache: CacheFormat, context: number];

/** What goes in and what comes out by float64, made once for all ways: at 13B's heads it takes longer than they do. */
const made = new Map<Heads, ReturnType<typeof make>>();
function make([heads, kvHeads, headDim, cache, context]: Heads) {
  const shape = onePage({ heads, kvHeads, headDim, context, cache });
  const q = randomFloats(heads * headDim, 1, 2);
  const [keys, values] = [2, 3].map((seed) =>
    cacheWords(randomFloats(kvHeads * context * headDim, seed), cache),
  );
  const positions =
    heads === SHIPPED[0] ? [context - 1] : [0, 1, 31, 255, 256, 300, context - 1].filter((p) => p < context);
  const qkv = new Float32Array((heads + 2 * kvHeads) * headDim);
  qkv.set(q);
  const [k, v] = [cacheValues(keys!, cache), cacheValues(values!, cache)];
  const rows = positions.map((position) => {
    const sums = attentionOracle(shape, qkv, k, v, position);
    return { position, wanted: isMixed(cache) ? mixOracle(sums) : sums };
  });
  return { shape, q, keys: keys!, values: values!, rows };
}

describe.each(ATTENTION_SPLIT.ways.map(({ name }) => name))("attention split, %s, and merge", (way) => {
  it.each([...HEADS, SHIPPED].map((of) => [...of, of] as const))(
    "of %i query and %i key heads of %i with a cache as %s of %i positions agree with float64",
    async (heads, _, headDim, __, context, of) => {
      if (!has(way)) return;
      if (!made.has(of)) made.set(of, make(of));
      const { shape: attention, q, keys, values, rows } = made.get(of)!;
      const splits = Math.ceil(context / 256);
      const shape = { ...attention, splits, arithmetic: "f32" } as const;
      const parts = gpu().buffer("parts", splitBytes(shape, splits));
      const stored = gpu().buffer("stored", vectorBytes("f32", heads * headDim));
      const split = await prepare(gpu(), ATTENTION_SPLIT, shape, way);
      const merge = (await prepare(gpu(), ATTENTION_MERGE, shape))({ shares: parts, stored });
      const inputs = {
        q: upload(gpu(), q),
        keys: upload(gpu(), keys),
        values: upload(gpu(), values),
        pages: upload(gpu(), new Uint32Array(1)),
      };
      for (const { position, wanted } of rows) {
        const dispatch = split({ ...inputs, parts, rows: uploadRows(gpu(), [{ position }]) });
        const words = await runAndRead(gpu(), [dispatch, merge], stored);
        expectClose(readVector("f32", words, heads * headDim).values, wanted, { relative: RELATIVE });
      }
    },
  );
});

/** [heads, kvHeads, headDim, cache, context, arithmetic] */
const EARLY = [
  [4, 2, 64, "f16", 256, "f32"],
  [2, 2, 96, "q4", 200, "i8"],
] as const;

describe.each(ATTENTION_WHOLE.ways.map(({ name }) => name))("attention whole, %s,", (way) => {
  it.each(EARLY)(
    "of %i query and %i key heads of %i with a cache as %s of %i positions leaves what splits and their merge do, as %s",
    async (heads, kvHeads, headDim, cache, context, arithmetic) => {
      if (!has(way) || missingFeatures(ARITHMETIC_NEEDS[arithmetic], gpu().features).length > 0) return;
      const { shape: attention, q, keys, values } = make([heads, kvHeads, headDim, cache, context]);
      const shape = { ...attention, splits: 1, arithmetic } as const;
      const bytes = vectorBytes(arithmetic, heads * headDim);
      const parts = gpu().buffer("parts", splitBytes(shape, 1));
      const [whole, merged] = [gpu().buffer("whole", bytes), gpu().buffer("merged", bytes)];
      const attend = await prepare(gpu(), ATTENTION_WHOLE, shape, way);
      const split = await prepare(gpu(), ATTENTION_SPLIT, shape, way);
      const merge = (await prepare(gpu(), ATTENTION_MERGE, shape))({ shares: parts, stored: merged });
      const inputs = {
        q: upload(gpu(), q),
        keys: upload(gpu(), keys),
        values: upload(gpu(), values),
        pages: upload(gpu(), new Uint32Array(1)),
      };
      for (const position of [0, 7, context - 1]) {
        const rows = uploadRows(gpu(), [{ position }]);
        const wanted = await runAndRead(gpu(), [split({ ...inputs, parts, rows }), merge], merged);
        const got = await runAndRead(gpu(), [attend({ ...inputs, rows, stored: whole })], whole);
        expect(got).toEqual(wanted);
        expect(new Set(got).size).toBeGreaterThan(headDim / 8);
      }
    },
  );
});

/** Attention of one head of 32 over `position` and what is before it, in an arithmetic and by a way. */
async function attend(
  { q, keys, values }: Record<"q" | "keys" | "values", Float32Array>,
  position: number,
  arithmetic: Arithmetic,
  way?: string,
  cache: CacheFormat = "f32",
): Promise<Float32Array> {
  const [heads, headDim, context] = [1, 32, keys.length / 32];
  const splits = Math.ceil(context / 256);
  const shape = {
    ...onePage({ heads, kvHeads: 1, headDim, context, cache }),
    splits,
    arithmetic,
  } as const;
  const parts = gpu().buffer("parts", splitBytes(shape, splits));
  const stored = gpu().buffer("stored", vectorBytes(arithmetic, headDim));
  const split = (await prepare(gpu(), ATTENTION_SPLIT, shape, way))({
    q: upload(gpu(), q),
    keys: upload(gpu(), cacheWords(keys, cache)),
    values: upload(gpu(), cacheWords(values, cache)),
    parts,
    rows: uploadRows(gpu(), [{ position }]),
    pages: upload(gpu(), new Uint32Array(1)),
  });
  const merge = (await prepare(gpu(), ATTENTION_MERGE, shape))({ shares: parts, stored });
  return readVector(arithmetic, await runAndRead(gpu(), [split, merge], stored), headDim).values;
}

const POSITIONS = 600;
const noise = () => ({
  q: randomFloats(32, 1),
  keys: randomFloats(POSITIONS * 32, 2),
  values: randomFloats(POSITIONS * 32, 3),
});

it.each(ARITHMETICS)("attention of keys that are no numbers is none, as %s", async (arithmetic) => {
  for (const at of [0, 599]) {
    const all = noise();
    all.keys[at * 32] = Number.NaN;
    const values = await attend(all, POSITIONS - 1, arithmetic);
    expect(values.every(Number.isNaN)).toBe(true);
  }
});

it.each([
  ["keys", "q8"],
  ["values", "q4"],
] as const)("attention of %s that are no numbers is none, of a cache in %s", async (which, cache) => {
  for (const at of [0, 599]) {
    const all = noise();
    all[which][at * 32 + 7] = Number.NaN;
    const values = await attend(all, POSITIONS - 1, "f32", undefined, cache);
    expect(values.every(Number.isNaN)).toBe(true);
  }
});

describe.each(ATTENTION_SPLIT.ways.map(({ name }) => name))("attention split, %s,", (way) => {
  it("takes nothing of what is behind the row's position, whatever is there", async () => {
    if (!has(way)) return;
    const all = noise();
    const wanted = await attend(all, 594, "f32", way);
    all.keys.fill(Number.NaN, 595 * 32);
    all.values.fill(Number.NaN, 595 * 32);
    expect(await attend(all, 594, "f32", way)).toEqual(wanted);
    expect(wanted.every(Number.isFinite)).toBe(true);
  });

  it("bears a score in a later split far above all others", async () => {
    if (!has(way)) return;
    const all = noise();
    // Its score is 1,000 |q|² / √32: exp() of the difference is beyond f32.
    for (let i = 0; i < 32; i++) all.keys[500 * 32 + i] = 1000 * all.q[i]!;
    expectClose(await attend(all, POSITIONS - 1, "f32", way), all.values.subarray(500 * 32, 501 * 32), {
      relative: RELATIVE,
    });
  });
});
