import type { Gpu } from "../gpu/device.ts";
import { LINEAR, type Linear, linear, MATRIX_WAYS } from "./linear.ts";
import { type Matrix, slabShape } from "./matrix.ts";
import { LINEAR_OF_QUADS, linearOfQuads, QUANTISE } from "./quads.ts";
import type { Arithmetic } from "./vector.ts";
import { describeWrong, hasWay, waysFor } from "./way.ts";

/** A way to multiply a matrix with several rows, whichever operation has it. */
export interface ProductWay {
  /** The arithmetic, and the way among those of its operation: "i8 tiles". */
  readonly name: string;
  /** "i8" rounds rows to eight bits and "f16" to halves, which "f32" does not. */
  readonly arithmetic: Arithmetic;
  readonly way: string;
}

/**
 * Those of LINEAR, and in i8 of LINEAR_OF_QUADS. The order is that of preference where nothing is measured: what is made for
 * processors comes first there, and on cards matrices, which are the quickest by count and round the least.
 */
export const PRODUCT_WAYS: readonly ProductWay[] = (
  [
    ["i8", "narrow"],
    ["f32", "narrow"],
    ...MATRIX_WAYS.map((way) => ["f16", way] as const),
    ["i8", "tiles"],
    ["f32", "matmul"],
  ] as const
).map(([arithmetic, way]) => ({ name: `${arithmetic} ${way}`, arithmetic, way }));

/**
 * The ways to multiply a matrix with several rows that a GPU allows, the best by rule first.
 * @param rounded Whether rows may be rounded to 8 bits.
 */
export function productWays(gpu: Gpu, matrix: Matrix, rounded: boolean): readonly ProductWay[] {
  const slab = slabShape(matrix, matrix.slabs[0]!);
  // Any number above one gives the same ways.
  const shape = { ...slab, outputs: matrix.rows, tokens: 2, accumulate: false };
  const exact = waysFor(gpu, LINEAR, shape);
  const ofQuads = rounded && hasWay(gpu, QUANTISE) ? waysFor(gpu, LINEAR_OF_QUADS, shape) : [];
  return PRODUCT_WAYS.filter(({ arithmetic, way }) =>
    (arithmetic === "i8" ? ofQuads : exact).some(({ name }) => name === way),
  );
}

/**
 * Compiles the product of a matrix with passes of `tokens` rows.
 * @param wanted One of PRODUCT_WAYS; a matrix that cannot be multiplied so goes by rule, in 8 bits only where that has them.
 * @param quads Of quadsBytes(), for rows that are rounded.
 */
export function product(
  gpu: Gpu,
  matrix: Matrix,
  tokens: number,
  wanted: string,
  quads: GPUBuffer,
  accumulate = false,
): Promise<Linear> {
  const chosen =
    productWays(gpu, matrix, true).find(({ name }) => name === wanted) ??
    productWays(gpu, matrix, wanted.startsWith("i8"))[0];
  if (chosen?.arithmetic === "i8") {
    return linearOfQuads(gpu, matrix, tokens, quads, { accumulate, way: chosen.way });
  }
  // The ways of one row are others.
  const way = tokens > 1 ? chosen?.way : undefined;
  return linear(gpu, matrix, tokens, { accumulate, ...(way === undefined ? {} : { way }) });
}

/** What was wrong on a GPU with one of PRODUCT_WAYS: a sentence. Undefined where nothing was. */
export function describeWrongProduct(gpu: Gpu, name: string): string | undefined {
  const known = PRODUCT_WAYS.find((way) => way.name === name);
  return known && describeWrong(gpu, known.arithmetic === "i8" ? LINEAR_OF_QUADS : LINEAR, known.way);
}
