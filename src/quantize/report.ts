import type { PackedRows, WeightFormat } from "./format.ts";
import { packedBytes, unpackRows } from "./pack.ts";

/** What packing did to some weights: sums, so that blocks and tensors add up. */
export interface QuantisationError {
  readonly weights: number;
  /** Bytes of words and scales. */
  readonly bytes: number;
  /** Σ w² of the weights as they were. */
  readonly squares: number;
  /** Σ (w - ŵ)², ŵ being what the packed weights stand for. */
  readonly squaredError: number;
}

/** Nothing packed yet. */
export const NO_ERROR: QuantisationError = { weights: 0, bytes: 0, squares: 0, squaredError: 0 };

/** The error of rows [count, columns] that packRows() packed. */
export function quantisationError(
  format: WeightFormat,
  rows: Float32Array,
  packed: PackedRows,
  columns: number,
): QuantisationError {
  const count = rows.length / columns;
  const found = unpackRows(format, packed, count, columns);
  let squares = 0;
  let squaredError = 0;
  for (let i = 0; i < rows.length; i++) {
    const weight = rows[i]!;
    const error = weight - found[i]!;
    squares += weight * weight;
    squaredError += error * error;
  }
  const { words, scales } = packedBytes(format, count, columns);
  return { weights: rows.length, bytes: words + scales, squares, squaredError };
}

/** The error of both together. */
export function addErrors(a: QuantisationError, b: QuantisationError): QuantisationError {
  return {
    weights: a.weights + b.weights,
    bytes: a.bytes + b.bytes,
    squares: a.squares + b.squares,
    squaredError: a.squaredError + b.squaredError,
  };
}

/** Bits per weight in all, and the relative error ‖w - ŵ‖ / ‖w‖; both 0 where there is nothing to divide by. */
export function summarise(error: QuantisationError): { bitsPerWeight: number; relativeError: number } {
  const { weights, bytes, squares, squaredError } = error;
  return {
    bitsPerWeight: weights && (8 * bytes) / weights,
    relativeError: squares && Math.sqrt(squaredError / squares),
  };
}
