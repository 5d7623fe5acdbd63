import { Noise } from "../noise.ts";

/** Distinct rows of activations: a prime, so that the rows of a tile differ. */
export const ACTIVATIONS = 3;

/** Of groups in turns. */
const SCALES = [6, 7, 8].map((power) => 2 ** -power);

/** One row of activations, which every arithmetic can say exactly: scales of groups of 32 times integers of eight bits. */
export interface Row {
  readonly quants: Int8Array; // [columns], in each group one of the largest
  readonly scaleOf: (group: number) => number; // a power of two
  readonly values: Float64Array; // [columns]
  readonly squares: number;
}

/** The row t of activations. */
export function activations(columns: number): (t: number) => Row {
  const rows = new Map<number, Row>();
  return (t) => {
    const index = t % ACTIVATIONS;
    const row = rows.get(index) ?? rowOf(columns, index);
    rows.set(index, row);
    return row;
  };
}

function rowOf(columns: number, index: number): Row {
  const noise = new Noise(17 + index);
  const quants = new Int8Array(columns);
  const values = new Float64Array(columns);
  const scaleOf = (group: number) => SCALES[(group + index) % SCALES.length]!;
  let squares = 0;
  for (let k = 0; k < columns; k++) {
    const value = noise.next();
    const isLargest = k % 32 === (7 * index + (k >> 5)) % 32;
    quants[k] = isLargest ? (value < 0 ? -127 : 127) : Math.trunc(127 * value);
    values[k] = quants[k]! * scaleOf(k >> 5);
    squares += values[k]! ** 2;
  }
  return { quants, scaleOf, values, squares };
}

/** `count` rows as f32, [count, columns]. */
export function floatsOf(row: (t: number) => Row, count: number, columns: number): Float32Array<ArrayBuffer> {
  const words = new Float32Array(count * columns);
  for (let t = 0; t < count; t++) words.set(row(t).values, t * columns);
  return words;
}
