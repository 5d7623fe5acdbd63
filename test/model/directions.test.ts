import { describe, expect, test } from "vitest";
import { PROJECTIONS, signsOf } from "../../src/kernels/sketch.ts";
import { PRINCIPAL, principalDirections } from "../../src/model/directions.ts";
import { projectOracle, sketchOracle } from "../oracle/linear.ts";
import { randomFloats, randomStream } from "../support/random.ts";

/** float32 of the sketch and of the directions, where a covariance has no more of them than are kept: measured 6.5e-7. */
const EXACT = 2e-6;
/** Of a covariance of many directions, what PRINCIPAL of them leave, as a multiple of what the best do: measured 1.017. */
const NEAR_BEST = 1.05;

const COLUMNS = 96;
const TOKENS = 400;

/** Tokens around a mean that vary in so many directions, the first most: the spread of direction i is falloff^i. */
function inputs(directions: number, falloff: number): Float64Array {
  const mean = randomFloats(COLUMNS, 1);
  const along = Array.from({ length: directions }, (_, i) => randomFloats(COLUMNS, 10 + i));
  const next = randomStream(3);
  const x = new Float64Array(TOKENS * COLUMNS);
  for (let t = 0; t < TOKENS; t++) {
    const shares = along.map((_, i) => falloff ** i * (2 * next() - 1));
    for (let k = 0; k < COLUMNS; k++)
      x[t * COLUMNS + k] = along.reduce((sum, v, i) => sum + shares[i]! * v[k]!, 3 * mean[k]!);
  }
  return x;
}

function meanOf(x: Float64Array): Float64Array {
  const mean = new Float64Array(COLUMNS);
  for (let at = 0; at < x.length; at++) mean[at % COLUMNS]! += x[at]! / TOKENS;
  return mean;
}

function covarianceOf(x: Float64Array): Float64Array {
  const mean = meanOf(x);
  const covariance = new Float64Array(COLUMNS ** 2);
  for (let t = 0; t < TOKENS; t++) {
    for (let i = 0; i < COLUMNS; i++) {
      for (let j = 0; j < COLUMNS; j++)
        covariance[i * COLUMNS + j]! +=
          ((x[t * COLUMNS + i]! - mean[i]!) * (x[t * COLUMNS + j]! - mean[j]!)) / TOKENS;
    }
  }
  return covariance;
}

function directionsOf(x: Float64Array): Float32Array {
  const sketch = sketchOracle(x, projectOracle(x, COLUMNS, signsOf, PROJECTIONS), COLUMNS, PROJECTIONS);
  const target = new Float32Array(PRINCIPAL * COLUMNS);
  principalDirections(
    Float32Array.from(meanOf(x)),
    Float32Array.from(sketch, (sum) => sum / TOKENS),
    target,
  );
  return target;
}

const norm = (values: Float64Array) => Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0));

/** What Σ L Lᵀ leaves of a covariance. */
function rest(covariance: Float64Array, directions: Float32Array): Float64Array {
  return covariance.map((value, at) => {
    const [i, j] = [Math.floor(at / COLUMNS), at % COLUMNS];
    for (let d = 0; d < PRINCIPAL; d++) value -= directions[d * COLUMNS + i]! * directions[d * COLUMNS + j]!;
    return value;
  });
}

/** The largest eigenvalues, by power iteration: each is taken away before the next is looked for. */
function takeLargest(covariance: Float64Array, count: number): Float64Array {
  const left = covariance.slice();
  for (let n = 0; n < count; n++) {
    let vector = Float64Array.from(randomFloats(COLUMNS, 77 + n));
    let value = 0;
    for (let turn = 0; turn < 500; turn++) {
      const next = new Float64Array(COLUMNS);
      for (let at = 0; at < left.length; at++)
        next[Math.floor(at / COLUMNS)]! += left[at]! * vector[at % COLUMNS]!;
      value = norm(next);
      vector = next.map((x) => x / value);
    }
    for (let at = 0; at < left.length; at++)
      left[at]! -= value * vector[Math.floor(at / COLUMNS)]! * vector[at % COLUMNS]!;
  }
  return left;
}

describe("principalDirections", () => {
  test.each([1, 4, PRINCIPAL])("makes up a covariance of %i directions, whatever the mean", (count) => {
    const x = inputs(count, 0.8);
    const covariance = covarianceOf(x);
    const directions = directionsOf(x);
    expect(norm(rest(covariance, directions))).toBeLessThan(EXACT * norm(covariance));
    // The largest first, and none where there are no more.
    const lengths = Array.from({ length: PRINCIPAL }, (_, d) =>
      norm(Float64Array.from(directions.subarray(d * COLUMNS, (d + 1) * COLUMNS))),
    );
    expect(lengths).toEqual(lengths.toSorted((a, b) => b - a));
    for (const length of lengths.slice(count)) expect(length).toBeLessThan(1e-2 * lengths[0]!);
  });

  test("leaves little more of another covariance than the best directions would", () => {
    const x = inputs(COLUMNS, 0.95);
    const covariance = covarianceOf(x);
    const best = norm(takeLargest(covariance, PRINCIPAL));
    expect(best).toBeGreaterThan(0.01 * norm(covariance));
    expect(norm(rest(covariance, directionsOf(x)))).toBeLessThan(NEAR_BEST * best);
  });

  test("is none of an input that never varies, or that is none", () => {
    for (const value of [0, 2]) {
      const directions = directionsOf(new Float64Array(TOKENS * COLUMNS).fill(value));
      for (const x of directions) expect(Math.abs(x)).toBeLessThan(1e-3);
    }
  });
});
