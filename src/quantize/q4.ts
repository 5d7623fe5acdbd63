import { fromHalf } from "../f16.ts";
import { GROUP_SIZE, STORED } from "../stored.ts";
import { type BlockFit, fitBlock, LARGEST_LEVEL } from "./q4-fit.ts";

/** Weights of a whole block of scales, and the u32 that such a block takes. */
const { weights: BLOCK, u32s: BLOCK_U32S } = STORED.q4.scales;

/** Scales and minima have six bits. */
const SIX_BITS = 63;

/**
 * Weights, whole rows of `columns` of them, as 4-bit words and blocks of scales and minima: see `PackedRows`. They are
 * chosen for a small squared error, each weight's counted `costs` [columns] times: see fitBlock().
 * @returns the index of the first weight of a block that has one that is not finite or too large, or -1.
 */
export function packQ4(
  rows: Float32Array,
  columns: number,
  costs: Float32Array,
  words: Uint32Array,
  scales: Uint32Array,
): number {
  let block = 0;
  for (let start = 0, column = 0; start < rows.length; block += BLOCK_U32S) {
    const count = Math.min(BLOCK, columns - column);
    const fit = fitBlock(rows, start, costs, column, count);
    if (!fit) return start;
    writeScales(fit, count / GROUP_SIZE, scales, block);
    for (let i = 0; i < count; i += GROUP_SIZE) writeLevels(fit, i, rows, start, words);
    start += count;
    column = column + count === columns ? 0 : column + count;
  }
  return -1;
}

function writeScales(fit: BlockFit, groups: number, target: Uint32Array, at: number): void {
  let evenScales = 0;
  let evenMinima = 0;
  let oddScales = 0;
  for (let group = 0; group < groups; group += 2) {
    const shift = shiftOf(group);
    evenScales |= fit.scales[group]! << shift;
    evenMinima |= fit.minima[group]! << shift;
    if (group + 1 === groups) break;
    oddScales |= fit.scales[group + 1]! << shift;
    const minimum = fit.minima[group + 1]!;
    evenScales |= (minimum & 3) << (shift + 6);
    evenMinima |= ((minimum >>> 2) & 3) << (shift + 6);
    oddScales |= (minimum >>> 4) << (shift + 6);
  }
  target[at] = fit.d | (fit.dmin << 16);
  target[at + 1] = evenScales;
  target[at + 2] = evenMinima;
  target[at + 3] = oddScales;
}

/** Each weight of the group from the i-th of the block on as the nearest of its sixteen levels. */
function writeLevels(fit: BlockFit, i: number, rows: Float32Array, start: number, words: Uint32Array): void {
  const group = i / GROUP_SIZE;
  const scale = fromHalf(fit.d) * fit.scales[group]!;
  if (scale === 0) return;
  const inverse = 1 / scale;
  const offset = fromHalf(fit.dmin) * fit.minima[group]! * inverse + 0.5;
  for (let at = start + i, word = at >>> 3; at < start + i + GROUP_SIZE; at += 8, word++) {
    words[word] =
      level(rows[at]! * inverse + offset) |
      (level(rows[at + 1]! * inverse + offset) << 8) |
      (level(rows[at + 2]! * inverse + offset) << 16) |
      (level(rows[at + 3]! * inverse + offset) << 24) |
      (level(rows[at + 4]! * inverse + offset) << 4) |
      (level(rows[at + 5]! * inverse + offset) << 12) |
      (level(rows[at + 6]! * inverse + offset) << 20) |
      (level(rows[at + 7]! * inverse + offset) << 28);
  }
}

/** Truncation rounds what has a half added to it: what it cuts is positive, or becomes 0 anyway. */
function level(shifted: number): number {
  return shifted >= LARGEST_LEVEL ? LARGEST_LEVEL : shifted > 0 ? shifted | 0 : 0;
}

/** The float32 weights that words and scales stand for. Their products have at most 21 bits, so float32 rounds once. */
export function unpackQ4(words: Uint32Array, scales: Uint32Array, rows: Float32Array, columns: number): void {
  let column = 0;
  let block = 0;
  for (let i = 0; i < rows.length; i += GROUP_SIZE) {
    const group = (column % BLOCK) / GROUP_SIZE;
    const first = scales[block]!;
    const scale = fromHalf(first) * scaleOf(scales, block, group);
    const minimum = fromHalf(first >>> 16) * minimumOf(scales, block, group);
    for (let word = i >>> 3, at = i; at < i + GROUP_SIZE; word++, at += 8) {
      const bits = words[word]!;
      rows[at] = scale * (bits & 15) - minimum;
      rows[at + 1] = scale * ((bits >>> 8) & 15) - minimum;
      rows[at + 2] = scale * ((bits >>> 16) & 15) - minimum;
      rows[at + 3] = scale * ((bits >>> 24) & 15) - minimum;
      rows[at + 4] = scale * ((bits >>> 4) & 15) - minimum;
      rows[at + 5] = scale * ((bits >>> 12) & 15) - minimum;
      rows[at + 6] = scale * ((bits >>> 20) & 15) - minimum;
      rows[at + 7] = scale * (bits >>> 28) - minimum;
    }
    column += GROUP_SIZE;
    if (column === columns) column = 0;
    if (column % BLOCK === 0) block += BLOCK_U32S;
  }
}

function scaleOf(scales: Uint32Array, block: number, group: number): number {
  return (scales[block + (group % 2 === 0 ? 1 : 3)]! >>> shiftOf(group)) & SIX_BITS;
}

function minimumOf(scales: Uint32Array, block: number, group: number): number {
  const shift = shiftOf(group);
  if (group % 2 === 0) return (scales[block + 2]! >>> shift) & SIX_BITS;
  const pair = (k: number) => (scales[block + k]! >>> (shift + 6)) & 3;
  return pair(1) | (pair(2) << 2) | (pair(3) << 4);
}

/** Of the byte that a group shares with its neighbour. */
function shiftOf(group: number): number {
  return 8 * (group >>> 1);
}
