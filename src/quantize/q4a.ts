import { fromHalf } from "../f16.ts";

/** Weights that share a scale and a zero point. */
const GROUP = 16;

/** The scales by their nine bits, which are the upper ones of a positive f16; those from 496 on would be infinite. */
const SCALES: Float64Array = Float64Array.from({ length: 496 }, (_, bits) => fromHalf(bits << 6));
const MOST_SCALE_BITS = SCALES.length - 1;
const LARGEST_SCALE = SCALES[MOST_SCALE_BITS]!;

/** Zero points are stored in steps of an eighth, in seven bits. */
const ZERO_STEPS = 8;
const MOST_ZERO_BITS = 127;

/**
 * Ranges that are tried for the sixteen levels: how far the lowest and the highest level lie inside the group's own
 * range, as shares of it. Found by greedy search on normal weights, whose importance was alike or spread over e^4: after
 * a least-squares fit the squared error is 4 % above that of trying every range and every pair of codes near each.
 */
const RANGES: readonly { readonly fromLow: number; readonly fromHigh: number }[] = [
  { fromLow: 0, fromHigh: 0 },
  { fromLow: 0, fromHigh: -0.04 },
  { fromLow: -0.04, fromHigh: 0 },
  { fromLow: 0.04, fromHigh: 0 },
  { fromLow: 0, fromHigh: 0.04 },
  { fromLow: -0.04, fromHigh: -0.04 },
  { fromLow: 0.04, fromHigh: 0.04 },
];

const weights = new Float64Array(GROUP);
const costs = new Float64Array(GROUP);

/**
 * Weights, whole rows of `columns` of them, as 4-bit words and one scale and zero point per group of 16: see
 * `PackedRows`. They minimise the group's squared error, each weight's counted `importance` [columns] times: of
 * RANGES the best after a least-squares fit, then the better of the two scales around it that have a code.
 * @returns the index of the first weight of a group that is not finite or too large, or -1.
 */
export function packQ4a(
  rows: Float32Array,
  importance: Float32Array,
  words: Uint32Array,
  codes: Uint16Array,
): number {
  const columns = importance.length;
  for (let start = 0, column = 0; start < rows.length; start += GROUP) {
    let lowest = 0;
    let highest = 0;
    let poison = 0; // stays 0 while every weight is finite
    for (let i = 0; i < GROUP; i++) {
      const weight = rows[start + i]!;
      weights[i] = weight;
      costs[i] = importance[column + i]!;
      if (weight < lowest) lowest = weight;
      if (weight > highest) highest = weight;
      poison += weight * 0;
    }
    column = column + GROUP === columns ? 0 : column + GROUP;
    if (poison !== 0 || highest - lowest > 15 * LARGEST_SCALE) return start;
    if (highest === lowest) continue; // all zero, and so are scale and levels
    const code = bestCode(lowest, highest);
    codes[start / GROUP] = code;
    const inverse = 1 / SCALES[code & 511]!;
    const offset = (code >>> 9) / ZERO_STEPS + 0.5;
    for (let word = start >>> 3, i = 0; i < GROUP; i += 8, word++) {
      words[word] =
        level(weights[i]! * inverse + offset) |
        (level(weights[i + 1]! * inverse + offset) << 8) |
        (level(weights[i + 2]! * inverse + offset) << 16) |
        (level(weights[i + 3]! * inverse + offset) << 24) |
        (level(weights[i + 4]! * inverse + offset) << 4) |
        (level(weights[i + 5]! * inverse + offset) << 12) |
        (level(weights[i + 6]! * inverse + offset) << 20) |
        (level(weights[i + 7]! * inverse + offset) << 28);
    }
  }
  return -1;
}

/** The level 0 to 15 of a weight in steps plus zero point plus a half. What truncation cuts is positive, or clamped. */
function level(shifted: number): number {
  const truncated = shifted | 0;
  return truncated > 15 ? 15 : truncated < 0 ? 0 : truncated;
}

/** The code of the least squared error for `weights` and `costs`, whose lowest and highest weight are given. */
function bestCode(lowest: number, highest: number): number {
  let cost = 0; // Σ cost, and with it the weighted means below
  let mean = 0;
  for (let i = 0; i < GROUP; i++) {
    cost += costs[i]!;
    mean += costs[i]! * weights[i]!;
  }
  mean /= cost;
  const range = highest - lowest;
  let bestScore = -1;
  let scale = 0;
  let meanLevel = 0;
  for (let candidate = 0; candidate < RANGES.length; candidate++) {
    const { fromLow, fromHigh } = RANGES[candidate]!;
    const first = lowest + fromLow * range;
    const inverse = 15 / (highest - fromHigh * range - first);
    const offset = 0.5 - first * inverse;
    let levels = 0; // Σ cost · level
    let squares = 0; // Σ cost · level²
    let products = 0; // Σ cost · level · weight
    for (let i = 0; i < GROUP; i++) {
      const weight = weights[i]!;
      const quant = level(weight * inverse + offset);
      const costly = costs[i]! * quant;
      levels += costly;
      squares += costly * quant;
      products += costly * weight;
    }
    // The fitted scale is covariance / variance of weights and levels, and lowers the squared error by score.
    const covariance = products - levels * mean;
    const variance = squares - (levels * levels) / cost;
    const score = (covariance * covariance) / variance;
    if (score > bestScore) {
      bestScore = score;
      scale = covariance / variance;
      meanLevel = levels / cost;
    }
  }
  const fitted = meanLevel - mean / scale;
  if (fitted < 0 || fitted * ZERO_STEPS > MOST_ZERO_BITS) {
    // Weights of one sign, far from zero for their spread: no code has such a zero point, so the levels reach to 0.
    scale = range / 15;
    meanLevel = (mean - lowest) / scale;
  }
  const below = bitsBelow(scale);
  let best = 0;
  let leastError = Number.POSITIVE_INFINITY;
  for (let bits = Math.max(1, below); bits <= below + 1 && bits <= MOST_SCALE_BITS; bits++) {
    // Whatever the scale, the levels' mean should stand for the weights' mean.
    const zero = zeroBits(meanLevel - mean / SCALES[bits]!);
    const error = squaredError(SCALES[bits]!, zero / ZERO_STEPS);
    if (error < leastError) {
      leastError = error;
      best = bits | (zero << 9);
    }
  }
  return best;
}

function squaredError(scale: number, zero: number): number {
  const inverse = 1 / scale;
  let sum = 0;
  for (let i = 0; i < GROUP; i++) {
    const error = weights[i]! - scale * (level(weights[i]! * inverse + zero + 0.5) - zero);
    sum += costs[i]! * error * error;
  }
  return sum;
}

const scratchFloat = new Float32Array(1);
const scratchBits = new Uint32Array(scratchFloat.buffer);

/** The code of the largest scale that is not above `scale`. */
function bitsBelow(scale: number): number {
  // Below 2^-14 scales are multiples of 2^-18. Above, the code is the upper bits of the f32, its exponent rebiased.
  if (scale < 2 ** -14) return Math.floor(scale * 2 ** 18);
  scratchFloat[0] = scale;
  return Math.min(MOST_SCALE_BITS, (scratchBits[0]! - 0x38000000) >>> 19);
}

function zeroBits(zero: number): number {
  return Math.max(0, Math.min(MOST_ZERO_BITS, Math.round(zero * ZERO_STEPS)));
}

/** The float32 weights that words and codes stand for. */
export function unpackQ4a(words: Uint32Array, codes: Uint16Array, rows: Float32Array): void {
  for (let i = 0; i < rows.length; i++) {
    const within = i & 7;
    const shift = within < 4 ? within * 8 : (within - 4) * 8 + 4;
    const code = codes[i >>> 4]!;
    rows[i] = fromHalf((code & 511) << 6) * (((words[i >>> 3]! >>> shift) & 15) - (code >>> 9) / ZERO_STEPS);
  }
}
