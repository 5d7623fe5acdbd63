import { fromHalf } from "../f16.ts";
import { GROUP_SIZE, STORED } from "../stored.ts";
import { type Costs, RUN } from "./costs.ts";
import { type BlockFit, fitBlock, nearestLevel } from "./q4-fit.ts";

/** Weights of a whole block of scales, and the u32 that such a block takes. */
const { weights: BLOCK, u32s: BLOCK_U32S } = STORED.q4.scales;

/** Scales and minima have six bits. */
const SIX_BITS = 63;

/**
 * Weights, whole rows of `columns` of them, as 4-bit words and blocks of scales and minima: see `PackedRows`. They are
 * chosen for a small cost of errors, scales and minima by fitBlock(), and levels so that a row's errors cancel out where
 * inputs have a mean: each run of weights makes up for what the runs before it left of Σ mean · error.
 * @returns the index of the first weight of a block that has one that is not finite or too large, or -1.
 */
export function packQ4(
  rows: Float32Array,
  columns: number,
  costs: Costs,
  words: Uint32Array,
  scales: Uint32Array,
): number {
  let block = 0;
  for (let row = 0; row < rows.length; row += columns) {
    let left = 0; // Σ mean · error of the row so far
    for (let column = 0; column < columns; column += BLOCK, block += BLOCK_U32S) {
      const count = Math.min(BLOCK, columns - column);
      const fit = fitBlock(rows, row + column, costs.spread, column, count);
      if (!fit) return row + column;
      writeScales(fit, count / GROUP_SIZE, scales, block);
      for (let group = 0; group < count / GROUP_SIZE; group++) {
        left = writeLevels(fit, group, rows, row, column + group * GROUP_SIZE, costs, left, words);
      }
    }
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

/** Writes the levels of a group from a column of a row on. @returns what is left then, see packQ4(). */
function writeLevels(
  fit: BlockFit,
  group: number,
  rows: Float32Array,
  row: number,
  column: number,
  { mean, pull }: Costs,
  before: number,
  words: Uint32Array,
): number {
  const scale = fromHalf(fit.d) * fit.scales[group]!;
  const minimum = fromHalf(fit.dmin) * fit.minima[group]!;
  // Without a scale there is one level.
  const inverse = scale > 0 ? 1 / scale : 0;
  const offset = scale > 0 ? minimum * inverse + 0.5 : 0;
  let left = before;
  for (let k = column, at = row + column; k < column + GROUP_SIZE; k += RUN, at += RUN) {
    // Without a loop inside, which would take half as long again.
    const level0 = nearestLevel((rows[at]! - left * pull[k]!) * inverse + offset);
    const level1 = nearestLevel((rows[at + 1]! - left * pull[k + 1]!) * inverse + offset);
    const level2 = nearestLevel((rows[at + 2]! - left * pull[k + 2]!) * inverse + offset);
    const level3 = nearestLevel((rows[at + 3]! - left * pull[k + 3]!) * inverse + offset);
    const level4 = nearestLevel((rows[at + 4]! - left * pull[k + 4]!) * inverse + offset);
    const level5 = nearestLevel((rows[at + 5]! - left * pull[k + 5]!) * inverse + offset);
    const level6 = nearestLevel((rows[at + 6]! - left * pull[k + 6]!) * inverse + offset);
    const level7 = nearestLevel((rows[at + 7]! - left * pull[k + 7]!) * inverse + offset);
    words[at >>> 3] =
      level0 |
      (level1 << 8) |
      (level2 << 16) |
      (level3 << 24) |
      (level4 << 4) |
      (level5 << 12) |
      (level6 << 20) |
      (level7 << 28);
    left +=
      mean[k]! * (scale * level0 - minimum - rows[at]!) +
      mean[k + 1]! * (scale * level1 - minimum - rows[at + 1]!) +
      mean[k + 2]! * (scale * level2 - minimum - rows[at + 2]!) +
      mean[k + 3]! * (scale * level3 - minimum - rows[at + 3]!) +
      mean[k + 4]! * (scale * level4 - minimum - rows[at + 4]!) +
      mean[k + 5]! * (scale * level5 - minimum - rows[at + 5]!) +
      mean[k + 6]! * (scale * level6 - minimum - rows[at + 6]!) +
      mean[k + 7]! * (scale * level7 - minimum - rows[at + 7]!);
  }
  return left;
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
  return (
    pairAt(scales[block + 1]!, shift) |
    (pairAt(scales[block + 2]!, shift) << 2) |
    (pairAt(scales[block + 3]!, shift) << 4)
  );
}

/** The two high bits of a byte. A function of its own: bundles that keep names would pay for naming one for each group. */
function pairAt(word: number, shift: number): number {
  return (word >>> (shift + 6)) & 3;
}

/** Of the byte that a group shares with its neighbour. */
function shiftOf(group: number): number {
  return 8 * (group >>> 1);
}
