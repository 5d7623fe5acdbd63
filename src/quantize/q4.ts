import { fromHalf, SMALLEST_HALF, toHalf } from "../f16.ts";
import { GROUP_SIZE } from "../stored.ts";

/**
 * Levels at which a group's weight of largest magnitude is tried; -8 alone is the classic choice. Found by greedy
 * search on normal weights: with a least-squares fit these four come within 1 % of the squared error of trying
 * every level, a tenth less than -8 without the fit. None is below -9.5, so that truncation ends at level 0.
 */
const LEVELS = [-8.2, -7.8, -8.6, 7.1] as const;

/** The quants -8 to 7 by levels that LEVELS can give, 0 to 17: a table of doubles, faster than a bound and a conversion. */
const QUANTS = Float64Array.from({ length: 32 }, (_, level) => Math.min(level, 15) - 8);

/** Of a float's bits, all but its sign. */
const MAGNITUDE = 0x7fffffff;
/** Magnitudes from here on are infinity and NaN. */
const INFINITE = 0x7f800000;

/**
 * Weights, a multiple of 32 of them, as 4-bit words and one half-precision scale per group: see `PackedRows`. The
 * scale minimises the group's squared error, each weight's counted `importance` [columns] times: of the candidates
 * that put its largest weight at each of LEVELS, the best after a least-squares fit, rounded to f16; the rounded one
 * is what quantises.
 * @returns the index of the first weight of a group that is not finite or too large, or -1.
 */
export function packQ4(
  rows: Float32Array,
  importance: Float32Array,
  words: Uint32Array,
  scales: Uint16Array,
): number {
  const columns = importance.length;
  const bits = new Int32Array(rows.buffer, rows.byteOffset, rows.length);
  let column = 0;
  for (let start = 0, group = 0; start < rows.length; start += GROUP_SIZE, group++) {
    const at = largestAt(bits, start);
    if ((bits[at]! & MAGNITUDE) >= INFINITE) return start;
    const largest = rows[at]!;
    const half = largest === 0 ? 0 : bestScale(rows, start, importance, column, largest);
    column = column + GROUP_SIZE === columns ? 0 : column + GROUP_SIZE;
    if ((half & 0x7c00) === 0x7c00) return start;
    scales[group] = half;
    const inverse = largest === 0 ? 0 : 1 / fromHalf(half);
    for (let word = start >>> 3, i = start; i < start + GROUP_SIZE; i += 8, word++) {
      words[word] =
        level(rows[i]! * inverse) |
        (level(rows[i + 1]! * inverse) << 8) |
        (level(rows[i + 2]! * inverse) << 16) |
        (level(rows[i + 3]! * inverse) << 24) |
        (level(rows[i + 4]! * inverse) << 4) |
        (level(rows[i + 5]! * inverse) << 12) |
        (level(rows[i + 6]! * inverse) << 20) |
        (level(rows[i + 7]! * inverse) << 28);
    }
  }
  return -1;
}

/** Where the weight of largest magnitude is in a group, the first of equal ones, by the bits of its floats. */
function largestAt(bits: Int32Array, start: number): number {
  // Magnitudes are in the order of their bits. Their maximum without a branch, which would be mispredicted.
  let even = 0;
  let odd = 0;
  for (let i = start; i < start + GROUP_SIZE; i += 2) {
    const aboveEven = (bits[i]! & MAGNITUDE) - even;
    even += aboveEven & ~(aboveEven >> 31);
    const aboveOdd = (bits[i + 1]! & MAGNITUDE) - odd;
    odd += aboveOdd & ~(aboveOdd >> 31);
  }
  const most = Math.max(even, odd);
  let at = start;
  while ((bits[at]! & MAGNITUDE) !== most) at++;
  return at;
}

/** Nearest of the levels 0 to 15, of which 8 stands for zero. Truncation rounds, since what it cuts is positive. */
function level(scaled: number): number {
  const rounded = (scaled + 8.5) | 0;
  return rounded > 15 ? 15 : rounded < 0 ? 0 : rounded;
}

function bestScale(
  rows: Float32Array,
  start: number,
  importance: Float32Array,
  column: number,
  largest: number,
): number {
  // The four candidates side by side, since each sum has to wait for its last addition: 40 % less time than in turn.
  const inverse0 = LEVELS[0] / largest;
  const inverse1 = LEVELS[1] / largest;
  const inverse2 = LEVELS[2] / largest;
  const inverse3 = LEVELS[3] / largest;
  let dot0 = 0; // Σ importance · weight · quant
  let dot1 = 0;
  let dot2 = 0;
  let dot3 = 0;
  let squares0 = 0; // Σ importance · quant²
  let squares1 = 0;
  let squares2 = 0;
  let squares3 = 0;
  for (let i = 0; i < GROUP_SIZE; i++) {
    const weight = rows[start + i]!;
    const cost = importance[column + i]!;
    const quant0 = QUANTS[(weight * inverse0 + 8.5) & 31]!;
    const costly0 = cost * quant0;
    dot0 += weight * costly0;
    squares0 += costly0 * quant0;
    const quant1 = QUANTS[(weight * inverse1 + 8.5) & 31]!;
    const costly1 = cost * quant1;
    dot1 += weight * costly1;
    squares1 += costly1 * quant1;
    const quant2 = QUANTS[(weight * inverse2 + 8.5) & 31]!;
    const costly2 = cost * quant2;
    dot2 += weight * costly2;
    squares2 += costly2 * quant2;
    const quant3 = QUANTS[(weight * inverse3 + 8.5) & 31]!;
    const costly3 = cost * quant3;
    dot3 += weight * costly3;
    squares3 += costly3 * quant3;
  }
  // With scale dot/squares the squared error is Σ importance · weight² - dot²/squares: the largest quotient wins.
  let bestScore = 0;
  let best = largest / -8;
  if (dot0 * dot0 > bestScore * squares0) {
    bestScore = (dot0 * dot0) / squares0;
    best = dot0 / squares0;
  }
  if (dot1 * dot1 > bestScore * squares1) {
    bestScore = (dot1 * dot1) / squares1;
    best = dot1 / squares1;
  }
  if (dot2 * dot2 > bestScore * squares2) {
    bestScore = (dot2 * dot2) / squares2;
    best = dot2 / squares2;
  }
  if (dot3 * dot3 > bestScore * squares3) best = dot3 / squares3;
  const half = toHalf(best);
  return (half & 0x7fff) === 0 ? toHalf(best < 0 ? -SMALLEST_HALF : SMALLEST_HALF) : half;
}

/** The float32 weights that words and scales stand for. */
export function unpackQ4(words: Uint32Array, scales: Uint16Array, rows: Float32Array): void {
  for (let word = 0, i = 0; word < words.length; word++, i += 8) {
    const bits = words[word]!;
    const scale = fromHalf(scales[word >>> 2]!);
    rows[i] = scale * ((bits & 15) - 8);
    rows[i + 1] = scale * (((bits >>> 8) & 15) - 8);
    rows[i + 2] = scale * (((bits >>> 16) & 15) - 8);
    rows[i + 3] = scale * (((bits >>> 24) & 15) - 8);
    rows[i + 4] = scale * (((bits >>> 4) & 15) - 8);
    rows[i + 5] = scale * (((bits >>> 12) & 15) - 8);
    rows[i + 6] = scale * (((bits >>> 20) & 15) - 8);
    rows[i + 7] = scale * ((bits >>> 28) - 8);
  }
}
