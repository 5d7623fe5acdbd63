import { fromHalf, SMALLEST_HALF, toHalf } from "../f16.ts";
import { GROUP_SIZE } from "./format.ts";

/**
 * Levels at which a group's weight of largest magnitude is tried; -8 alone is the classic choice. Found by greedy
 * search on normal weights: with a least-squares fit these four come within 1 % of the squared error of trying
 * every level, a tenth less than -8 without the fit. None is below -9.5, so that truncation ends at level 0.
 */
const LEVELS: readonly number[] = [-8.2, -7.8, -8.6, 7.1];

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
  let column = 0;
  for (let start = 0, group = 0; start < rows.length; start += GROUP_SIZE, group++) {
    let largest = 0;
    let poison = 0; // stays 0 while every weight is finite
    for (let i = start; i < start + GROUP_SIZE; i++) {
      const weight = rows[i]!;
      if (Math.abs(weight) > Math.abs(largest)) largest = weight;
      poison += weight * 0;
    }
    if (poison !== 0) return start;
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
  let bestScore = 0;
  let best = largest / -8;
  for (let candidate = 0; candidate < LEVELS.length; candidate++) {
    const inverse = LEVELS[candidate]! / largest;
    let dot = 0; // Σ importance · weight · quant
    let squares = 0; // Σ importance · quant²
    for (let i = 0; i < GROUP_SIZE; i++) {
      const weight = rows[start + i]!;
      let quant = (weight * inverse + 8.5) | 0;
      quant = quant > 15 ? 7 : quant - 8;
      const costly = importance[column + i]! * quant;
      dot += weight * costly;
      squares += costly * quant;
    }
    // With scale dot/squares the squared error is Σ importance · weight² - dot²/squares: the largest quotient wins.
    const score = dot * dot;
    if (score > bestScore * squares) {
      bestScore = score / squares;
      best = dot / squares;
    }
  }
  const half = toHalf(best);
  return (half & 0x7fff) === 0 ? toHalf(best < 0 ? -SMALLEST_HALF : SMALLEST_HALF) : half;
}

/** The float32 weights that words and scales stand for. */
export function unpackQ4(words: Uint32Array, scales: Uint16Array, rows: Float32Array): void {
  for (let i = 0; i < rows.length; i++) {
    const within = i & 7;
    const shift = within < 4 ? within * 8 : (within - 4) * 8 + 4;
    rows[i] = fromHalf(scales[i >>> 5]!) * (((words[i >>> 3]! >>> shift) & 15) - 8);
  }
}
