import { fromHalf, SMALLEST_HALF, toHalf } from "../f16.ts";
import { GROUP_SIZE, STORED } from "../stored.ts";

const BLOCK = STORED.q4.scales.weights;
const GROUPS = BLOCK / GROUP_SIZE;

const LARGEST_LEVEL = 15;
/** Infinity as the bits of a half. */
const INFINITE_HALF = 0x7c00;
/** Scales and minima have six bits. */
const LARGEST_CODE = 63;

/** What a block of up to eight groups is stored with: d and dmin as f16, and for each group its six bits. */
export interface BlockFit {
  readonly d: number;
  readonly dmin: number;
  readonly scales: Uint8Array;
  readonly minima: Uint8Array;
}

/**
 * Ranges that are tried for the sixteen levels: how far the lowest and the highest level lie inside the group's own range,
 * as shares of it. Found by greedy search on ziya-tiny's weights and on normal ones, whose costs were alike or spread over
 * e²: after a least-squares fit the squared error is 7 % above that of the best of 100 ranges.
 */
const RANGES = [
  [0.02, 0.02],
  [0, 0.04],
  [0.04, 0],
  [0, 0],
] as const;

/** The levels 0 to 15 by what RANGES can give, 0 to 31: a table of doubles, faster than a bound and a conversion. */
const LEVELS = Float64Array.from({ length: 32 }, (_, level) => Math.min(level, LARGEST_LEVEL));

// The block that is fitted: nothing is allocated for each.
const weights = new Float64Array(BLOCK);
/** By group, the scale and minimum that fit best. */
const scales = new Float64Array(GROUPS);
const minima = new Float64Array(GROUPS);
/** By group, Σ cost, Σ cost · weight and, of each weight's level, Σ cost · level, Σ cost · level², Σ cost · level · weight. */
const costSums = new Float64Array(GROUPS);
const perCosts = new Float64Array(GROUPS);
const weightSums = new Float64Array(GROUPS);
const levelSums = new Float64Array(GROUPS);
const squareSums = new Float64Array(GROUPS);
const productSums = new Float64Array(GROUPS);

const fit = { d: 0, dmin: 0, scales: new Uint8Array(GROUPS), minima: new Uint8Array(GROUPS) };

/**
 * What `count` weights from rows[start] on, whole groups of a block, are stored with for a small squared error, each
 * weight's counted columnCosts[column + i] times. Each group is fitted by itself; d and dmin are such that the largest
 * scale and minimum have a code. The result is valid until the next call.
 * @returns undefined when a weight is not finite or too large.
 */
export function fitBlock(
  rows: Float32Array,
  start: number,
  columnCosts: Float64Array,
  column: number,
  count: number,
): BlockFit | undefined {
  const groups = count / GROUP_SIZE;
  let poison = 0; // stays 0 while every weight is finite
  let largestScale = 0;
  let largestMinimum = 0;
  for (let group = 0; group < groups; group++) {
    const from = group * GROUP_SIZE;
    let lowest = 0;
    let highest = Number.NEGATIVE_INFINITY;
    let cost = 0;
    let costly = 0;
    for (let i = from; i < from + GROUP_SIZE; i++) {
      const weight = rows[start + i]!;
      const columnCost = columnCosts[column + i]!;
      weights[i] = weight;
      if (weight < lowest) lowest = weight;
      if (weight > highest) highest = weight;
      cost += columnCost;
      costly += columnCost * weight;
    }
    poison += costly * 0;
    costSums[group] = cost;
    perCosts[group] = 1 / cost;
    weightSums[group] = costly;
    fitGroup(group, lowest, highest, columnCosts, column + from);
    largestScale = Math.max(largestScale, scales[group]!);
    largestMinimum = Math.max(largestMinimum, minima[group]!);
  }
  if (poison !== 0) return undefined;
  fit.d = halfFor(largestScale);
  fit.dmin = halfFor(largestMinimum);
  if (fit.d === INFINITE_HALF || fit.dmin === INFINITE_HALF) return undefined;
  for (let group = 0; group < groups; group++) chooseCodes(group, fromHalf(fit.d), fromHalf(fit.dmin));
  return fit;
}

/** The half of which 63 come nearest to `largest`, not more than half a code below it. */
function halfFor(largest: number): number {
  if (largest === 0) return 0;
  const half = toHalf(Math.max(largest / LARGEST_CODE, SMALLEST_HALF));
  return fromHalf(half) * (LARGEST_CODE + 0.5) < largest ? half + 1 : half;
}

/** Scale and minimum of the least squared error for a group by itself, of those that RANGES lead to. */
function fitGroup(group: number, lowest: number, highest: number, costs: Float64Array, column: number): void {
  // Weights that are all alike, and not positive, are a minimum without levels.
  scales[group] = 0;
  minima[group] = -lowest;
  keepSums(group, 0, 0, 0);
  if (highest <= lowest) return;
  const range = highest - lowest;
  const perLevel = LARGEST_LEVEL / range;
  const [[low0, high0], [low1, high1], [low2, high2], [low3, high3]] = RANGES;
  const inverse0 = perLevel * (1 / (1 - low0 - high0));
  const inverse1 = perLevel * (1 / (1 - low1 - high1));
  const inverse2 = perLevel * (1 / (1 - low2 - high2));
  const inverse3 = perLevel * (1 / (1 - low3 - high3));
  // Truncation rounds what has a half added to it and is above -1: no range begins more than a tenth inside.
  const offset0 = 0.5 - (lowest + low0 * range) * inverse0;
  const offset1 = 0.5 - (lowest + low1 * range) * inverse1;
  const offset2 = 0.5 - (lowest + low2 * range) * inverse2;
  const offset3 = 0.5 - (lowest + low3 * range) * inverse3;
  let levels0 = 0;
  let levels1 = 0;
  let levels2 = 0;
  let levels3 = 0;
  let squares0 = 0;
  let squares1 = 0;
  let squares2 = 0;
  let squares3 = 0;
  let products0 = 0;
  let products1 = 0;
  let products2 = 0;
  let products3 = 0;
  // Side by side, since each sum has to wait for its last addition.
  for (let i = 0; i < GROUP_SIZE; i++) {
    const weight = weights[group * GROUP_SIZE + i]!;
    const cost = costs[column + i]!;
    const level0 = LEVELS[(weight * inverse0 + offset0) & 31]!;
    const costly0 = cost * level0;
    levels0 += costly0;
    squares0 += costly0 * level0;
    products0 += costly0 * weight;
    const level1 = LEVELS[(weight * inverse1 + offset1) & 31]!;
    const costly1 = cost * level1;
    levels1 += costly1;
    squares1 += costly1 * level1;
    products1 += costly1 * weight;
    const level2 = LEVELS[(weight * inverse2 + offset2) & 31]!;
    const costly2 = cost * level2;
    levels2 += costly2;
    squares2 += costly2 * level2;
    products2 += costly2 * weight;
    const level3 = LEVELS[(weight * inverse3 + offset3) & 31]!;
    const costly3 = cost * level3;
    levels3 += costly3;
    squares3 += costly3 * level3;
    products3 += costly3 * weight;
  }
  const score0 = keepBetter(group, levels0, squares0, products0, Number.NEGATIVE_INFINITY);
  const score1 = keepBetter(group, levels1, squares1, products1, score0);
  const score2 = keepBetter(group, levels2, squares2, products2, score1);
  keepBetter(group, levels3, squares3, products3, score2);
}

/**
 * Keeps the least-squares scale and minimum for levels of which these are the sums, if they are better. The score is by
 * how much they lower Σ cost · weight².
 */
function keepBetter(group: number, levels: number, squares: number, products: number, best: number): number {
  const costly = weightSums[group]!;
  const perCost = perCosts[group]!;
  const covariance = products - levels * costly * perCost;
  let scale = covariance / (squares - levels * levels * perCost);
  let minimum = (scale * levels - costly) * perCost;
  let score = scale * covariance + costly * costly * perCost;
  if (!(minimum >= 0)) {
    scale = products / squares;
    minimum = 0;
    score = scale * products;
  }
  if (!(score > best && scale > 0)) return best;
  scales[group] = scale;
  minima[group] = minimum;
  keepSums(group, levels, squares, products);
  return score;
}

function keepSums(group: number, levels: number, squares: number, products: number): void {
  levelSums[group] = levels;
  squareSums[group] = squares;
  productSums[group] = products;
}

/**
 * The codes of the least error with the levels that the group's sums are of: of the two scales around the fitted one the
 * better, each with the nearest minimum.
 */
function chooseCodes(group: number, d: number, dmin: number): void {
  const wanted = scales[group]!;
  // No scale of a group with levels is zero.
  const below = wanted === 0 ? 0 : Math.min(LARGEST_CODE - 1, Math.max(1, Math.floor(wanted / d)));
  let least = Number.POSITIVE_INFINITY;
  for (let code = below; code <= below + 1; code++) {
    const scale = d * code;
    const minimum = (scale * levelSums[group]! - weightSums[group]!) * perCosts[group]!;
    const nearest = dmin === 0 ? 0 : Math.max(0, Math.min(LARGEST_CODE, Math.round(minimum / dmin)));
    const error = errorOf(group, scale, dmin * nearest);
    if (error >= least) continue;
    least = error;
    fit.scales[group] = code;
    fit.minima[group] = nearest;
  }
}

/** Σ cost · (weight - (scale · level - minimum))² of a group, less Σ cost · weight². */
function errorOf(group: number, scale: number, minimum: number): number {
  return (
    scale * (scale * squareSums[group]! - 2 * productSums[group]!) +
    minimum * (2 * (weightSums[group]! - scale * levelSums[group]!) + minimum * costSums[group]!)
  );
}

/** The level 0 to 15 of a weight in steps above the lowest level, plus a half. What truncation cuts is positive, or clamped. */
export function nearestLevel(shifted: number): number {
  const truncated = shifted | 0;
  return truncated > LARGEST_LEVEL ? LARGEST_LEVEL : truncated < 0 ? 0 : truncated;
}
