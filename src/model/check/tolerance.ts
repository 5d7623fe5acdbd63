import type { Arithmetic } from "../../kernels/vector.ts";

/**
 * What f32 may be off, as a share of a number and of the size of all: sums of up to 13,824 products in any order, `exp` and
 * `inverseSqrt` as loose as WGSL allows. A product that is missing from such a sum makes 8e-3.
 */
export const F32 = 2 ** -12;

/**
 * Where products or their sums are rounded to halves of eleven bits: eight at a time in the arithmetic f16; queries, keys,
 * values and their weights in what goes by subgroup matrices. On lavapipe that left 3e-3 of the one and 2e-3 of the other; a
 * group of 32 columns that is missing makes 5e-2.
 */
export const HALVES = 2 ** -6;

/** Of products of a vector in an arithmetic; the vectors of the checks are the same numbers in each. */
export const PRODUCTS: Readonly<Record<Arithmetic, number>> = { i8: F32, f32: F32, f16: HALVES };

/** Of prompts: ways that go by subgroup matrices take halves. */
export function allowedFor(way: string): number {
  return way.startsWith("matrix") ? HALVES : F32;
}
