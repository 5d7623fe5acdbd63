import { fromHalf, SMALLEST_HALF, toHalf } from "../f16.ts";
import { GROUP_SIZE, STORED } from "../stored.ts";

/**
 * Weights, a multiple of 32 of them, as signed bytes and one half-precision scale per group: see `PackedRows`.
 * @returns the index of the first weight of a group that is not finite or too large, or -1.
 */
export function packQ8(
  rows: Float32Array,
  columns: number,
  _costs: unknown,
  words: Uint32Array,
  scales: Uint32Array,
): number {
  const quants = new Int8Array(words.buffer, words.byteOffset, rows.length);
  const halves = new Uint16Array(scales.buffer);
  for (let start = 0; start < rows.length; start += GROUP_SIZE) {
    let largest = 0;
    let poison = 0; // stays 0 while every weight is finite
    for (let i = start; i < start + GROUP_SIZE; i++) {
      const magnitude = Math.abs(rows[i]!);
      if (magnitude > largest) largest = magnitude;
      poison += magnitude * 0;
    }
    if (poison !== 0) return start;
    if (largest === 0) continue;
    const half = toHalf(Math.max(largest / 127, SMALLEST_HALF));
    if (half === 0x7c00) return start;
    halves[scaleAt(start, columns)] = half;
    const inverse = 1 / fromHalf(half);
    for (let i = start; i < start + GROUP_SIZE; i++) {
      // 128.5 makes the number positive, so that truncation rounds to nearest.
      const quant = (rows[i]! * inverse + 128.5) | 0;
      quants[i] = (quant > 255 ? 255 : quant < 1 ? 1 : quant) - 128;
    }
  }
  return -1;
}

/** The float32 weights that quants and scales stand for. */
export function unpackQ8(words: Uint32Array, scales: Uint32Array, rows: Float32Array, columns: number): void {
  const quants = new Int8Array(words.buffer, words.byteOffset, rows.length);
  const halves = new Uint16Array(scales.buffer, scales.byteOffset, 2 * scales.length);
  for (let start = 0; start < rows.length; start += GROUP_SIZE) {
    const scale = fromHalf(halves[scaleAt(start, columns)]!);
    for (let i = start; i < start + GROUP_SIZE; i++) rows[i] = scale * quants[i]!;
  }
}

/** Which of the halves is the scale of the group from a weight on: rows have an even number of them. */
function scaleAt(start: number, columns: number): number {
  const row = Math.floor(start / columns);
  return 2 * row * Math.ceil(columns / STORED.q8.scales.weights) + (start - row * columns) / GROUP_SIZE;
}
