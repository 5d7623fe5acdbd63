import type { Feature } from "../gpu/features.ts";
import { scalesOf, type WeightFormat } from "../stored.ts";

/**
 * What a matrix is multiplied with, one vector at a time: "i8" is 8-bit groups of 32, each with a scale, multiplied by
 * packed integer dot products; "f32" is floats.
 */
export const ARITHMETICS = ["i8", "f32"] as const;
export type Arithmetic = (typeof ARITHMETICS)[number];

/** What the adapter must have for it. */
export const ARITHMETIC_NEEDS: Readonly<Record<Arithmetic, readonly Feature[]>> = { i8: ["dot"], f32: [] };

/** u32 of the record that two groups of 32 values take: input_<arithmetic>.wgsl has the layout. */
const RECORD = { i8: 20, f32: 68 } as const satisfies Record<Arithmetic, number>;

/** Bytes of a vector of `columns` values, the squares that its norm needs included. */
export function vectorBytes(arithmetic: Arithmetic, columns: number): number {
  const pairs = Math.ceil(columns / 64);
  // The shaders read squares four at a time.
  return 4 * (pairs * RECORD[arithmetic] + 4 * Math.ceil(columns / 32 / 4));
}

/**
 * Whether a matrix stored as `format` can be multiplied in `arithmetic`: integers want a scale for each group, and f32
 * weights, which nobody decodes with for speed, have no way.
 */
export function canMultiply(format: WeightFormat, arithmetic: Arithmetic): boolean {
  return format !== "f32" && (arithmetic === "f32" || scalesOf(format) !== undefined);
}
