import { OptionError } from "../errors.ts";

/** Of a column that was never used, or never varied; 1 is the average column. */
const LEAST_COST = 1e-4;

/**
 * The least share of a column's mean square that no direction accounts for. Directions are those of one text: in another a
 * column that followed them closely may not. On ziya-tiny no share from 0 to 0.2 changes the error.
 */
const LEAST_OWN_SHARE = 0.05;

/** Weights of a row whose levels are chosen at a time. */
export const RUN = 8;

/**
 * What the errors e of a row's weights cost: with inputs x of which E[x xᵀ] is about D + Σ L Lᵀ, D diagonal and L a few
 * directions, it is the mean square Σ D · e² + Σ (Σ L · e)².
 */
export interface Costs {
  /** By column, the variance of its input, 1 where nothing is known: what scales are chosen by. */
  readonly spread: Float64Array;
  /** How many directions are known. */
  readonly count: number;
  /** [columns / RUN, count, RUN]: L. */
  readonly directions: Float64Array;
  /**
   * In the order of `directions`, how far a weight's error should go, for each direction: with v = Σ L · e of the row
   * before a run, the least cost of it and of what follows has the errors -(1 / D) Lᵀ (1 + Σ (1 / D) L Lᵀ)⁻¹ v, summed
   * from the run to the row's end. Later weights can follow freely then; they can nearly, as there are many.
   */
  readonly pull: Float64Array;
}

/**
 * The costs of errors in each column. No column is free: the tokens that were seen may have left one idle that others
 * need, and a group of idle columns still wants the best scale.
 * @param importance [1 + directions, columns], at least [2, columns]: mean squares, then directions, the mean first.
 * @throws OptionError when it is not finite numbers of that shape, or a mean square is negative.
 */
export function columnCosts(columns: number, importance?: Float32Array): Costs {
  const spread = new Float64Array(columns).fill(1);
  if (!importance) return { spread, count: 0, directions: new Float64Array(), pull: new Float64Array() };
  const count = importance.length / columns - 1;
  let [sum, sound] = [0, Number.isInteger(count) && count >= 1];
  for (const [i, value] of importance.entries()) {
    sound &&= Number.isFinite(value) && (i >= columns || value >= 0);
    if (i < columns) sum += value;
  }
  if (!sound) {
    throw new OptionError(
      `The importance of ${columns} columns is two finite numbers for each or more, a mean square from 0 on, a mean, and ` +
        `other directions; these are ${importance.length} numbers, of which the first ${columns} have the sum ${sum}: ` +
        "calibrate the model again.",
    );
  }
  const average = sum / columns || 1;
  const own = new Float64Array(columns); // D
  const directions = new Float64Array(count * columns);
  for (let k = 0; k < columns; k++) {
    const square = importance[k]! / average;
    let left = square;
    for (let i = 0; i < count; i++) {
      const value = importance[(1 + i) * columns + k]! / Math.sqrt(average);
      directions[placeOf(k, count) + i * RUN] = value;
      left -= value ** 2;
      if (i === 0) spread[k] = Math.max(left, 0) + LEAST_COST;
    }
    own[k] = Math.max(left, LEAST_OWN_SHARE * square) + LEAST_COST;
  }
  return { spread, count, directions, pull: pulls(own, directions, count) };
}

/** Where the first direction of column k is; the next ones are RUN apart. */
function placeOf(k: number, count: number): number {
  const inRun = k % RUN;
  return (k - inRun) * count + inRun;
}

/** See Costs. The inverse is kept from the last run to the first: a column more is an update of rank one (Sherman, Morrison). */
function pulls(own: Float64Array, directions: Float64Array, count: number): Float64Array {
  const pull = new Float64Array(directions.length);
  const inverse = new Float64Array(count * count);
  for (let i = 0; i < count; i++) inverse[i * count + i] = 1;
  const column = new Float64Array(count); // L of column k
  const turned = new Float64Array(count); // inverse · L
  const turn = (k: number) => {
    for (let i = 0, at = placeOf(k, count); i < count; i++, at += RUN) column[i] = directions[at]!;
    for (let i = 0, at = 0; i < count; i++) {
      let sum = 0;
      for (let j = 0; j < count; j++) sum += inverse[at++]! * column[j]!;
      turned[i] = sum;
    }
  };
  for (let start = own.length - RUN; start >= 0; start -= RUN) {
    for (let k = start; k < start + RUN; k++) {
      turn(k);
      let whole = own[k]!;
      for (let i = 0; i < count; i++) whole += column[i]! * turned[i]!;
      for (let i = 0, at = 0; i < count; i++) {
        const share = turned[i]! / whole;
        for (let j = 0; j < count; j++) inverse[at++]! -= share * turned[j]!;
      }
    }
    for (let k = start; k < start + RUN; k++) {
      turn(k);
      for (let i = 0, at = placeOf(k, count); i < count; i++, at += RUN) pull[at] = turned[i]! / own[k]!;
    }
  }
  return pull;
}
