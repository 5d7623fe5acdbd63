import { Noise } from "../noise.ts";

/** Distinct numbers that inputs repeat: a prime, so that neither rows nor heads nor tiles are alike. */
const DISTINCT = 997;

/** `count` numbers in [-size, size): the same in every run. */
export function repeatedNoise(count: number, seed: number, size = 1): Float32Array<ArrayBuffer> {
  const values = new Float32Array(count);
  values.set(new Noise(seed).take(Math.min(DISTINCT, count), size));
  for (let done = DISTINCT; done < count; done *= 2) values.copyWithin(done, 0, Math.min(done, count - done));
  return values;
}

/** The largest of some errors; what is no number counts as infinitely wrong. */
export class Worst {
  error = 0;

  /**
   * @param scale What an error is a share of, beside the wanted number itself: above 0.
   * @param rounding How far the number may be off besides.
   */
  note(got: number, wanted: number, scale: number, rounding = 0): void {
    const error = Math.max(0, Math.abs(got - wanted) - rounding) / (scale + Math.abs(wanted));
    if (error > this.error) this.error = error;
    else if (Number.isNaN(error)) this.error = Number.POSITIVE_INFINITY;
  }
}

/** The root mean square of numbers, or the least above 0 where they are zeros. */
export function sizeOf(values: ArrayLike<number>): number {
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += values[i]! ** 2;
  return Math.sqrt(squares / values.length) || Number.MIN_VALUE;
}

/** The largest error of numbers, as a share of the one that is wanted and of the size of all that are. */
export function errorOf(got: ArrayLike<number>, wanted: Float64Array): number {
  const worst = new Worst();
  const size = sizeOf(wanted);
  for (let i = 0; i < wanted.length; i++) worst.note(got[i]!, wanted[i]!, size);
  return worst.error;
}

/** Σₖ a[k] b[k]. */
export function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let k = 0; k < a.length; k++) sum += a[k]! * b[k]!;
  return sum;
}

/** Each 32 values in turn, mixed as the KV caches of few bits have them: y_i = Σ_j (-1)^popcount(i & j) x_j / √32. */
export function mixed(x: Float64Array): Float64Array {
  const y = x.map((value) => value / Math.sqrt(32));
  for (let step = 1; step < 32; step *= 2) {
    for (let i = 0; i < y.length; i++) {
      if (i & step) continue;
      const [a, b] = [y[i]!, y[i + step]!];
      y[i] = a + b;
      y[i + step] = a - b;
    }
  }
  return y;
}

/** silu(gate) · up */
export function gated(gate: number, up: number): number {
  return (gate / (1 + Math.exp(-gate))) * up;
}

/** 1 / √(mean of squares + eps) */
export function inverseRms(squares: number, count: number, eps: number): number {
  return 1 / Math.sqrt(squares / count + eps);
}
