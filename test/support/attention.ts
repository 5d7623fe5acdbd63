import { fromHalf, toHalf } from "../../src/f16.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { ATTENTION } from "../../src/kernels/attention.ts";
import type { AttentionShape } from "../../src/kernels/cache.ts";
import { prepare, waysFor } from "../../src/kernels/way.ts";
import { attentionOracle } from "../oracle/attention.ts";
import { cacheValues, cacheWords } from "./cache.ts";
import { runAndReadFloats, upload } from "./gpu.ts";
import { randomFloats } from "./random.ts";
import { rowsFrom, uploadRows } from "./rows.ts";

/**
 * A score is an f32 sum that reaches 100 where outliers of q and k meet, and WGSL bounds exp(x) to 3 + 2 |x| units of
 * 2⁻²⁴: a weight may be off by some 200 units, 1e-5 of itself, and the scores' own rounding adds as much again.
 */
const RELATIVE = 5e-5;
/**
 * By matrices weights are rounded to halves of eleven bits, 2^-12 of themselves, and where outliers cancel in a sum of values
 * that is of numbers 20 times as large. That queries, keys and values are halves too is the oracle's part.
 */
const RELATIVE_OF_HALVES = 2 ** -8;

/** What stands in y before a pass, to see which rows it wrote. */
export const UNTOUCHED = 12345;

/** A pass of one sequence, and what it reads. */
export interface Pass {
  readonly rows: number;
  readonly tokens: number;
  readonly position: number;
  readonly qkv: Float32Array;
  readonly keys: Uint32Array;
  readonly values: Uint32Array;
}

/** Random queries and a random cache; rows that are no tokens, and positions past them, are NaN. */
export function randomPass(
  shape: AttentionShape,
  rows: number,
  tokens: number,
  position: number,
  seed = 0,
): Pass {
  const { heads, kvHeads, headDim, context, cache } = shape;
  const width = (heads + 2 * kvHeads) * headDim;
  const qkv = randomFloats(rows * width, 3 * seed + 1).fill(Number.NaN, tokens * width);
  const filled = (seed: number) => {
    const all = randomFloats(kvHeads * context * headDim, seed);
    for (let head = 0; head < kvHeads; head++) {
      const end = (head + 1) * context * headDim;
      all.fill(Number.NaN, (head * context + position + tokens) * headDim, end);
    }
    return cacheWords(all, cache);
  };
  return { rows, tokens, position, qkv, keys: filled(3 * seed + 2), values: filled(3 * seed + 3) };
}

/**
 * What a way leaves in y.
 * @param spare Floats that y has besides.
 */
export async function attend(
  gpu: Gpu,
  way: string,
  shape: AttentionShape,
  { qkv, keys, values, ...pass }: Pass,
  spare = 0,
): Promise<Float32Array> {
  const y = upload(gpu, new Float32Array(qkv.length + spare).fill(UNTOUCHED));
  const kernel = await prepare(gpu, ATTENTION, { ...shape, tokens: pass.rows }, way);
  const dispatch = kernel({
    qkv: upload(gpu, qkv),
    keys: upload(gpu, keys),
    values: upload(gpu, values),
    y,
    rows: uploadRows(gpu, rowsFrom(pass.position, pass.tokens)),
    pages: upload(gpu, new Uint32Array(1)),
  });
  return runAndReadFloats(gpu, [dispatch], y);
}

/** The formula in float64, of what a way makes of its numbers. */
export function passOracle(shape: AttentionShape, pass: Pass, way: string): Float64Array {
  const { position, rows, tokens } = pass;
  const qkv = pass.qkv.subarray(0, (pass.qkv.length / rows) * tokens);
  const [keys, values] = [cacheValues(pass.keys, shape.cache), cacheValues(pass.values, shape.cache)];
  if (!isOfHalves(way)) return attentionOracle(shape, qkv, keys, values, position);
  const factor = Math.fround(Math.fround(1 / Math.sqrt(shape.headDim)) * Math.fround(Math.LOG2E));
  const ofHalves = qkv.map((x) => fromHalf(toHalf(Math.fround(x * factor))) / factor);
  return attentionOracle(shape, ofHalves, keys.map(asHalf), values.map(asHalf), position);
}

function asHalf(x: number): number {
  return fromHalf(toHalf(x));
}

function isOfHalves(way: string): boolean {
  return way.startsWith("matrix");
}

export function toleranceOf(way: string): { relative: number } {
  return { relative: isOfHalves(way) ? RELATIVE_OF_HALVES : RELATIVE };
}

/** Whether the adapter has what a way needs. Those it does not have are held to the same on another. */
export function allows(gpu: Gpu, shape: AttentionShape, tokens: number, way: string): boolean {
  return waysFor(gpu, ATTENTION, { ...shape, tokens }).some(({ name }) => name === way);
}
