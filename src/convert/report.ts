import { unpackRows } from "../quantize/pack.ts";
import { type PackedRows, storedBytes, type WeightFormat } from "../stored.ts";

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

/** Weights that are unpacked at a time, so that they stay in the processor's first cache. */
const SLICE = 8192;

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
  const { words, scales } = storedBytes(format, count, columns);
  // Two sums of each, of even and of odd columns: an addition waits for the one before it.
  let evenSquares = 0;
  let oddSquares = 0;
  let evenErrors = 0;
  let oddErrors = 0;
  const step = Math.max(1, Math.floor(SLICE / columns));
  const room = new Float32Array(Math.min(step, count) * columns);
  for (let first = 0; first < count; first += step) {
    const slice = Math.min(step, count - first);
    const found = unpackRows(format, rowsOf(format, packed, first, slice, columns), slice, columns, room);
    const start = first * columns;
    for (let i = 0; i < found.length; i += 2) {
      const even = rows[start + i]!;
      const evenError = even - found[i]!;
      evenSquares += even * even;
      evenErrors += evenError * evenError;
      const odd = rows[start + i + 1]!;
      const oddError = odd - found[i + 1]!;
      oddSquares += odd * odd;
      oddErrors += oddError * oddError;
    }
  }
  return {
    weights: rows.length,
    bytes: words + scales,
    squares: evenSquares + oddSquares,
    squaredError: evenErrors + oddErrors,
  };
}

/** Views of some of the rows. */
function rowsOf(
  format: WeightFormat,
  packed: PackedRows,
  first: number,
  count: number,
  columns: number,
): PackedRows {
  const [before, bytes] = [first, count].map((rows) => storedBytes(format, rows, columns));
  const words = packed.words.subarray(before!.words / 4, (before!.words + bytes!.words) / 4);
  if (!packed.scales) return { words };
  return { words, scales: packed.scales.subarray(before!.scales / 4, (before!.scales + bytes!.scales) / 4) };
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
