import { CheckpointError, OptionError } from "../errors.ts";
import { toHalf, widenHalves } from "../f16.ts";
import { GROUP_SIZE, type PackedRows, scalesOf, storedBytes, type WeightFormat } from "../stored.ts";
import { type Costs, columnCosts } from "./costs.ts";
import { packQ4, unpackQ4 } from "./q4.ts";
import { packQ8, unpackQ8 } from "./q8.ts";

/** The tensor that rows are of, as messages call it, and which of its rows the first of them is. */
interface Place {
  readonly tensor: string;
  readonly first: number;
}

/** How rows become a format, and what they stand for then. */
interface Codec {
  /** @returns the index of the first weight of a block of scales with one that is not finite or too large, or -1. */
  pack(rows: Float32Array, columns: number, costs: Costs, words: Uint32Array, scales: Uint32Array): number;
  unpack(words: Uint32Array, scales: Uint32Array, rows: Float32Array, columns: number): void;
}

const CODECS: Readonly<Record<WeightFormat, Codec>> = {
  f32: { pack: packF32, unpack: unpackF32 },
  f16: { pack: packF16, unpack: unpackF16 },
  q8: { pack: packQ8, unpack: unpackQ8 },
  q4: { pack: packQ4, unpack: unpackQ4 },
};

/**
 * Rows of float32 [count, columns], row-major, in the layout of `format`.
 * @param importance [1 + directions, columns]: the mean square of what each column is multiplied with, the mean, and any
 * number of other directions, see Importance. q4 chooses its scales and levels by it, the wider formats have no need to.
 * Default: all columns are alike.
 * @param place Where the rows are, for messages.
 * @throws CheckpointError when a weight is not finite or is too large for the format's half-precision numbers; OptionError
 * when `columns` is no multiple of 32, the rows are not whole, or `importance` is not as columnCosts() wants it.
 */
export function packRows(
  format: WeightFormat,
  rows: Float32Array,
  columns: number,
  importance?: Float32Array,
  place?: Place,
): PackedRows {
  checkColumns(format, columns);
  if (rows.length % columns !== 0) {
    throw new OptionError(
      `${rows.length} weights are not whole rows of ${columns} columns: hand packRows() complete rows.`,
    );
  }
  const bytes = storedBytes(format, rows.length / columns, columns);
  const words = new Uint32Array(bytes.words / 4);
  const scales = new Uint32Array(bytes.scales / 4);
  const costs = columnCosts(columns, importance);
  // Codecs address half-words and bytes through views: every host of WebGPU is little-endian, as the layout is.
  const bad = CODECS[format].pack(rows, columns, costs, words, scales);
  if (bad >= 0) refuseWeight(format, rows, columns, bad, place);
  return scalesOf(format) ? { words, scales } : { words };
}

/** Added to the exponents of two halves in a u32, this carries out of those that are all ones: infinity or NaN. */
const [EXPONENTS, ONE_MORE, CARRIES] = [0x7c007c00, 0x04000400, 0x80008000];

/**
 * Rows of halves [count, columns] as packRows() packs them to f16: in their own memory, where that begins on a u32.
 * @throws as packRows() does.
 */
export function packHalves(halves: Uint16Array, columns: number, place?: Place): PackedRows {
  const { buffer, byteOffset } = halves.byteOffset % 4 === 0 ? halves : new Uint16Array(halves);
  const words = new Uint32Array(buffer, byteOffset, Math.floor(halves.length / 2));
  let carries = 0;
  for (let i = 0; i < words.length; i++) carries |= (words[i]! & EXPONENTS) + ONE_MORE;
  const whole = halves.length % columns === 0 && columns % GROUP_SIZE === 0;
  if (whole && (carries & CARRIES) === 0) return { words };
  return packRows("f16", widenHalves(halves), columns, undefined, place);
}

/**
 * The float32 [count, columns] that packed rows stand for: exactly what the shaders compute with.
 * @param target Room for them from its start on, to be used again and again.
 * @throws OptionError when the packed arrays have another length than `count` rows take, or `target` has no such room.
 */
export function unpackRows(
  format: WeightFormat,
  packed: PackedRows,
  count: number,
  columns: number,
  target: Float32Array = new Float32Array(count * columns),
): Float32Array {
  checkColumns(format, columns);
  const bytes = storedBytes(format, count, columns);
  const { words } = packed;
  const scales = packed.scales ?? new Uint32Array(0);
  if (words.byteLength !== bytes.words || scales.byteLength !== bytes.scales) {
    throw new OptionError(
      `${count} rows of ${columns} ${format} weights take ${bytes.words} bytes of words and ${bytes.scales} of ` +
        `scales; these have ${words.byteLength} and ${scales.byteLength}.`,
    );
  }
  if (target.length < count * columns) {
    throw new OptionError(
      `${count} rows of ${columns} weights need room for ${count * columns}; this has ${target.length}.`,
    );
  }
  const rows = target.subarray(0, count * columns);
  CODECS[format].unpack(words, scales, rows, columns);
  return rows;
}

function checkColumns(format: WeightFormat, columns: number): void {
  if (!Number.isSafeInteger(columns) || columns <= 0 || columns % GROUP_SIZE !== 0) {
    throw new OptionError(
      `Weights are packed as ${format} in groups of ${GROUP_SIZE} columns, and ${columns} columns are no ` +
        `positive multiple of ${GROUP_SIZE}: this matrix cannot be stored.`,
    );
  }
}

function refuseWeight(
  format: WeightFormat,
  rows: Float32Array,
  columns: number,
  near: number,
  { tensor, first }: Place = { tensor: "The matrix", first: 0 },
): never {
  let at = near;
  let largest = 0;
  const end = Math.min(near - (near % columns) + columns, near + (scalesOf(format)?.weights ?? 1));
  for (let i = near; i < end; i++) {
    const magnitude = Math.abs(rows[i]!);
    if (magnitude <= largest) continue;
    at = i;
    largest = magnitude;
    if (!Number.isFinite(magnitude)) break;
  }
  const where = `${tensor}: The weight at row ${first + Math.floor(at / columns)}, column ${at % columns} is ${rows[at]!}`;
  throw new CheckpointError(
    Number.isFinite(rows[at]!)
      ? `${where}, too large for ${format}, whose halves end at 65504: store this matrix as f32.`
      : `${where}: a checkpoint with weights that are not finite cannot be used, so fetch or convert it again.`,
  );
}

function packF32(rows: Float32Array, _columns: number, _costs: Costs, words: Uint32Array): number {
  words.set(new Uint32Array(rows.buffer, rows.byteOffset, rows.length));
  return rows.findIndex((weight) => !Number.isFinite(weight));
}

function unpackF32(words: Uint32Array, _scales: Uint32Array, rows: Float32Array): void {
  new Uint32Array(rows.buffer, rows.byteOffset, rows.length).set(words);
}

function packF16(rows: Float32Array, _columns: number, _costs: Costs, words: Uint32Array): number {
  const halves = new Uint16Array(words.buffer);
  for (let i = 0; i < rows.length; i++) {
    const half = toHalf(rows[i]!);
    if ((half & 0x7c00) === 0x7c00) return i;
    halves[i] = half;
  }
  return -1;
}

function unpackF16(words: Uint32Array, _scales: Uint32Array, rows: Float32Array): void {
  widenHalves(new Uint16Array(words.buffer, words.byteOffset, rows.length), rows);
}
