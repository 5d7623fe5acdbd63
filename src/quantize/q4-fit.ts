import { fromHalf, SMALLEST_HALF, toHalf } from "../f16.ts";
import { GROUP_SIZE, STORED } from "../stored.ts";

const BLOCK = STORED.q4.scales.weights;
const GROUPS = BLOCK / GROUP_SIZE;

export const LARGEST_LEVEL = 15;
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
 * Ranges that are tried for the sixteen levels: how far the lowest and the highest level lie inside the group's own
 * range, as shares of it.
 */
const RANGES: readonly { readonly fromLow: number; readonly fromHigh: number }[] = [
  { fromLow: 0, fromHigh: 0 },
  { fromLow: 0.03, fromHigh: 0.03 },
  { fromLow: 0, fromHigh: 0.06 },
  { fromLow: 0.06, fromHigh: 0 },
  { fromLow: 0.06, fromHigh: 0.06 },
  { fromLow: -0.02, fromHigh: 0.03 },
  { fromLow: 0.03, fromHigh: -0.02 },
  { fromLow: -0.02, fromHigh: -0.02 },
];

// What is fitted at a time: one block, so that nothing is allocated for each.
const weights = new Float64Array(BLOCK);
const costs = new Float64Array(BLOCK);
const scales = new Float64Array(GROUPS);
const minima = new Float64Array(GROUPS);

// Sums over a group: of costs; costs times weights; and the weights' levels 0 to 15 with costs, their squares, and products.
const sums = {
  cost: new Float64Array(GROUPS),
  weight: new Float64Array(GROUPS),
  square: new Float64Array(GROUPS),
  level: new Float64Array(GROUPS),
  levelSquare: new Float64Array(GROUPS),
  product: new Float64Array(GROUPS),
};

interface MutableFit {
  d: number;
  dmin: number;
  readonly scales: Uint8Array;
  readonly minima: Uint8Array;
}
const empty = (): MutableFit => ({
  d: 0,
  dmin: 0,
  scales: new Uint8Array(GROUPS),
  minima: new Uint8Array(GROUPS),
});
const [first, second] = [empty(), empty()];

/**
 * What `count` weights from rows[start] on, at most 256 in whole groups, are stored with for a small squared error, each
 * weight's counted `costs[column + i]` times. It is valid until the next call.
 * @returns undefined when a weight is not finite or too large.
 */
export function fitBlock(
  rows: Float32Array,
  start: number,
  columnCosts: Float32Array,
  column: number,
  count: number,
): BlockFit | undefined {
  let poison = 0; // stays 0 while every weight is finite
  for (let i = 0; i < count; i++) {
    const weight = rows[start + i]!;
    weights[i] = weight;
    costs[i] = columnCosts[column + i]!;
    poison += weight * 0;
  }
  if (poison !== 0) return undefined;
  const groups = count / GROUP_SIZE;
  let largestScale = 0;
  let largestMinimum = 0;
  for (let group = 0; group < groups; group++) {
    fitGroup(group);
    largestScale = Math.max(largestScale, scales[group]!);
    largestMinimum = Math.max(largestMinimum, minima[group]!);
  }
  first.d = halfFor(largestScale);
  first.dmin = halfFor(largestMinimum);
  if (first.d === INFINITE || first.dmin === INFINITE) return undefined;
  chooseCodes(first, groups);
  const before = measure(first, groups);
  refineFactors(first, second, groups);
  chooseCodes(second, groups);
  return measure(second, groups) < before ? second : first;
}

const INFINITE = 0x7c00;

/** The half of which 63 are nearest to `largest`, but not far below it. */
function halfFor(largest: number): number {
  if (largest === 0) return 0;
  const half = toHalf(Math.max(largest / LARGEST_CODE, SMALLEST_HALF));
  return fromHalf(half) * (LARGEST_CODE + 0.5) < largest ? half + 1 : half;
}

/** Scale and minimum of the least squared error for a group by itself, and the sums of the levels they were fitted to. */
function fitGroup(group: number): void {
  const from = group * GROUP_SIZE;
  let lowest = 0;
  let highest = Number.NEGATIVE_INFINITY;
  let cost = 0;
  let costly = 0;
  let squares = 0;
  for (let i = from; i < from + GROUP_SIZE; i++) {
    const weight = weights[i]!;
    const product = costs[i]! * weight;
    if (weight < lowest) lowest = weight;
    if (weight > highest) highest = weight;
    cost += costs[i]!;
    costly += product;
    squares += product * weight;
  }
  sums.cost[group] = cost;
  sums.weight[group] = costly;
  sums.square[group] = squares;
  scales[group] = 0;
  minima[group] = 0;
  if (highest - lowest === 0) {
    // All weights are alike: zero, or the minimum of which no level adds anything.
    minima[group] = -lowest;
    scales[group] = 0;
    setLevels(group, 0, 0, 0);
    return;
  }
  const mean = costly / cost;
  const range = highest - lowest;
  let best = -1;
  for (let candidate = 0; candidate < RANGES.length; candidate++) {
    const { fromLow, fromHigh } = RANGES[candidate]!;
    const bottom = lowest === 0 ? 0 : lowest + fromLow * range;
    const inverse = LARGEST_LEVEL / (highest - fromHigh * range - bottom);
    const offset = 0.5 - bottom * inverse;
    let levels = 0;
    let levelSquares = 0;
    let products = 0;
    for (let i = from; i < from + GROUP_SIZE; i++) {
      const weight = weights[i]!;
      const level = nearestLevel(weight * inverse + offset);
      const costlyLevel = costs[i]! * level;
      levels += costlyLevel;
      levelSquares += costlyLevel * level;
      products += costlyLevel * weight;
    }
    // The fitted scale is covariance / variance of weights and levels.
    const covariance = products - levels * mean;
    const variance = levelSquares - (levels * levels) / cost;
    let scale = covariance / variance;
    let minimum = (scale * levels - costly) / cost;
    let score = (covariance * covariance) / variance + costly * mean;
    if (!(minimum >= 0 && scale > 0)) {
      scale = products / levelSquares;
      minimum = 0;
      score = (products * products) / levelSquares;
    }
    if (score > best && scale > 0) {
      best = score;
      scales[group] = scale;
      minima[group] = minimum;
      setLevels(group, levels, levelSquares, products);
    }
  }
}

function setLevels(group: number, level: number, levelSquare: number, product: number): void {
  sums.level[group] = level;
  sums.levelSquare[group] = levelSquare;
  sums.product[group] = product;
}

function nearestLevel(shifted: number): number {
  return shifted >= LARGEST_LEVEL ? LARGEST_LEVEL : shifted > 0 ? shifted | 0 : 0;
}

/** For given d and dmin, each group's codes of the least error with the levels that its sums are of. */
function chooseCodes(target: MutableFit, groups: number): void {
  const d = fromHalf(target.d);
  const dmin = fromHalf(target.dmin);
  for (let group = 0; group < groups; group++) {
    const wanted = d === 0 ? 0 : scales[group]! / d;
    let least = Number.POSITIVE_INFINITY;
    const lower = Math.min(LARGEST_CODE, Math.max(scales[group]! > 0 ? 1 : 0, Math.floor(wanted)));
    for (let code = lower; code <= Math.min(LARGEST_CODE, lower + 1); code++) {
      const scale = d * code;
      const minimum = (scale * sums.level[group]! - sums.weight[group]!) / sums.cost[group]!;
      const minimumCode = dmin === 0 ? 0 : Math.max(0, Math.min(LARGEST_CODE, Math.round(minimum / dmin)));
      const error = squaredError(group, scale, dmin * minimumCode);
      if (error >= least) continue;
      least = error;
      target.scales[group] = code;
      target.minima[group] = minimumCode;
    }
  }
}

/** Σ cost · (weight - (scale · level - minimum))² of a group. */
function squaredError(group: number, scale: number, minimum: number): number {
  return (
    sums.square[group]! +
    scale * (scale * sums.levelSquare[group]! - 2 * sums.product[group]!) +
    minimum * (2 * (sums.weight[group]! - scale * sums.level[group]!) + minimum * sums.cost[group]!)
  );
}

/** Takes the levels that codes give, sums over them, and returns their squared error. */
function measure(target: MutableFit, groups: number): number {
  const d = fromHalf(target.d);
  const dmin = fromHalf(target.dmin);
  let error = 0;
  for (let group = 0; group < groups; group++) {
    const scale = d * target.scales[group]!;
    const minimum = dmin * target.minima[group]!;
    let levels = 0;
    let levelSquares = 0;
    let products = 0;
    if (scale > 0) {
      const inverse = 1 / scale;
      const offset = minimum * inverse + 0.5;
      for (let i = group * GROUP_SIZE; i < (group + 1) * GROUP_SIZE; i++) {
        const weight = weights[i]!;
        const level = nearestLevel(weight * inverse + offset);
        const costly = costs[i]! * level;
        levels += costly;
        levelSquares += costly * level;
        products += costly * weight;
      }
    }
    setLevels(group, levels, levelSquares, products);
    error += squaredError(group, scale, minimum);
  }
  return error;
}

/** The d and dmin of the least error with the codes and levels of `from`. */
function refineFactors(from: MutableFit, to: MutableFit, groups: number): void {
  let scaleSquares = 0;
  let minimumSquares = 0;
  let both = 0;
  let scaled = 0;
  let lowered = 0;
  for (let group = 0; group < groups; group++) {
    const scale = from.scales[group]!;
    const minimum = from.minima[group]!;
    scaleSquares += scale * scale * sums.levelSquare[group]!;
    minimumSquares += minimum * minimum * sums.cost[group]!;
    both += scale * minimum * sums.level[group]!;
    scaled += scale * sums.product[group]!;
    lowered += minimum * sums.weight[group]!;
    const mean = sums.weight[group]! / sums.cost[group]!;
    const variance = sums.levelSquare[group]! - sums.level[group]! ** 2 / sums.cost[group]!;
    if (variance > 0)
      scales[group] = Math.max(0, (sums.product[group]! - sums.level[group]! * mean) / variance);
  }
  // d · scaleSquares - dmin · both = scaled, and d · both - dmin · minimumSquares = lowered.
  const determinant = scaleSquares * minimumSquares - both * both;
  to.d = from.d;
  to.dmin = from.dmin;
  if (!(determinant > 1e-9 * scaleSquares * minimumSquares)) return;
  const d = toHalf((scaled * minimumSquares - lowered * both) / determinant);
  const dmin = toHalf((scaled * both - lowered * scaleSquares) / determinant);
  if (d > 0 && d < INFINITE) to.d = d;
  if (dmin > 0 && dmin < INFINITE) to.dmin = dmin;
}
