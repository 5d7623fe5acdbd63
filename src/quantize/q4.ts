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
 * chosen for a small cost of errors, scales and minima by fitBlock(), and levels so that a row's errors cancel out in the
 * directions that inputs have: each run of weights makes up for what the runs before it left of Σ direction · error.
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
  const left = new Float64Array(costs.count); // Σ direction · error of the row so far
  for (let row = 0; row < rows.length; row += columns) {
    left.fill(0);
    for (let column = 0; column < columns; column += BLOCK, block += BLOCK_U32S) {
      const count = Math.min(BLOCK, columns - column);
      const fit = fitBlock(rows, row + column, costs.spread, column, count);
      if (!fit) return row + column;
      writeScales(fit, count / GROUP_SIZE, scales, block);
      for (let group = 0; group < count / GROUP_SIZE; group++) {
        writeLevels(fit, group, rows, row, column + group * GROUP_SIZE, costs, left, words);
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

/** Writes the levels of a group from a column of a row on, and keeps what is left then, see packQ4(). */
function writeLevels(
  fit: BlockFit,
  group: number,
  rows: Float32Array,
  row: number,
  column: number,
  { count, directions, pull }: Costs,
  left: Float64Array,
  words: Uint32Array,
): void {
  const scale = fromHalf(fit.d) * fit.scales[group]!;
  const minimum = fromHalf(fit.dmin) * fit.minima[group]!;
  // Without a scale there is one level.
  const inverse = scale > 0 ? 1 / scale : 0;
  const offset = scale > 0 ? minimum * inverse + 0.5 : 0;
  // Eight weights in variables of their own: an array of them would take half as long again.
  for (let k = column, at = row + column; k < column + GROUP_SIZE; k += RUN, at += RUN) {
    let wanted0 = rows[at]!;
    let wanted1 = rows[at + 1]!;
    let wanted2 = rows[at + 2]!;
    let wanted3 = rows[at + 3]!;
    let wanted4 = rows[at + 4]!;
    let wanted5 = rows[at + 5]!;
    let wanted6 = rows[at + 6]!;
    let wanted7 = rows[at + 7]!;
    for (let i = 0, p = k * count; i < count; i++, p += RUN) {
      const v = left[i]!;
      wanted0 -= v * pull[p]!;
      wanted1 -= v * pull[p + 1]!;
      wanted2 -= v * pull[p + 2]!;
      wanted3 -= v * pull[p + 3]!;
      wanted4 -= v * pull[p + 4]!;
      wanted5 -= v * pull[p + 5]!;
      wanted6 -= v * pull[p + 6]!;
      wanted7 -= v * pull[p + 7]!;
    }
    const level0 = nearestLevel(wanted0 * inverse + offset);
    const level1 = nearestLevel(wanted1 * inverse + offset);
    const level2 = nearestLevel(wanted2 * inverse + offset);
    const level3 = nearestLevel(wanted3 * inverse + offset);
    const level4 = nearestLevel(wanted4 * inverse + offset);
    const level5 = nearestLevel(wanted5 * inverse + offset);
    const level6 = nearestLevel(wanted6 * inverse + offset);
    const level7 = nearestLevel(wanted7 * inverse + offset);
    words[at >>> 3] =
      level0 |
      (level1 << 8) |
      (level2 << 16) |
      (level3 << 24) |
      (level4 << 4) |
      (level5 << 12) |
      (level6 << 20) |
      (level7 << 28);
    const error0 = scale * level0 - minimum - rows[at]!;
    const error1 = scale * level1 - minimum - rows[at + 1]!;
    const error2 = scale * level2 - minimum - rows[at + 2]!;
    const error3 = scale * level3 - minimum - rows[at + 3]!;
    const error4 = scale * level4 - minimum - rows[at + 4]!;
    const error5 = scale * level5 - minimum - rows[at + 5]!;
    const error6 = scale * level6 - minimum - rows[at + 6]!;
    const error7 = scale * level7 - minimum - rows[at + 7]!;
    for (let i = 0, p = k * count; i < count; i++, p += RUN) {
      left[i]! +=
        error0 * directions[p]! +
        error1 * directions[p + 1]! +
        error2 * directions[p + 2]! +
        error3 * directions[p + 3]! +
        (error4 * directions[p + 4]! +
          error5 * directions[p + 5]! +
          error6 * directions[p + 6]! +
          error7 * directions[p + 7]!);
    }
  }
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
