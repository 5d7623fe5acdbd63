import { OptionError } from "../errors.ts";

/** Of a column that was never used, or never varied; 1 is the average column. */
const LEAST_COST = 1e-4;

/** Weights of a row whose levels are chosen at a time. */
export const RUN = 8;

/**
 * What the errors e of a row's weights cost: with inputs x of which the calibration tells mean and mean square, the mean
 * square of Σ e x over independent columns is Σ spread · e² + (Σ mean · e)².
 */
export interface Costs {
  /** By column, the variance of its input; 1 where nothing is known. */
  readonly spread: Float64Array;
  /** By column, the mean of its input; 0 where nothing is known. */
  readonly mean: Float64Array;
  /**
   * By column, how far its error should go for the least cost of a run of RUN weights, when Σ mean · e before it is -1:
   * (mean / spread) / (1 + Σ mean² / spread), summed over the run.
   */
  readonly pull: Float64Array;
}

/**
 * The costs of errors in each column. No column is free: the tokens that were seen may have left one idle that others
 * need, and a group of idle columns still wants the best scale.
 * @param importance [2, columns], mean squares and means.
 * @throws OptionError when it is not finite numbers of that shape, or a mean square is negative.
 */
export function columnCosts(columns: number, importance?: Float32Array): Costs {
  const spread = new Float64Array(columns).fill(1);
  const mean = new Float64Array(columns);
  const pull = new Float64Array(columns);
  if (!importance) return { spread, mean, pull };
  let [sum, sound] = [0, importance.length === 2 * columns];
  for (const [i, value] of importance.entries()) {
    sound &&= Number.isFinite(value) && (i >= columns || value >= 0);
    if (i < columns) sum += value;
  }
  if (!sound) {
    throw new OptionError(
      `The importance of ${columns} columns is two finite numbers for each, a mean square from 0 on and a mean; these are ` +
        `${importance.length} numbers, of which the first ${columns} have the sum ${sum}: calibrate the model again.`,
    );
  }
  const average = sum / columns || 1;
  for (let k = 0; k < columns; k++) {
    mean[k] = importance[columns + k]! / Math.sqrt(average);
    spread[k] = Math.max(importance[k]! / average - mean[k]! ** 2, 0) + LEAST_COST;
  }
  for (let start = 0; start < columns; start += RUN) {
    let pulled = 1;
    for (let k = start; k < start + RUN; k++) pulled += mean[k]! ** 2 / spread[k]!;
    for (let k = start; k < start + RUN; k++) pull[k] = mean[k]! / spread[k]! / pulled;
  }
  return { spread, mean, pull };
}
