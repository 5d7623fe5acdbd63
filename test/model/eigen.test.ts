import { describe, expect, test } from "vitest";
import { eigenOf } from "../../src/model/eigen.ts";
import { randomFloats } from "../support/random.ts";

/** Rotations round a few times each, some thousand of them: measured 1.0e-14 of the largest eigenvalue. */
const RELATIVE = 1e-13;

const product = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((sum, x, i) => sum + x * b[i]!, 0);

/** A random symmetric matrix, Σ values[i] v vᵀ for as many random vectors of length 1. */
function symmetric(size: number, values: readonly number[]): Float64Array {
  const matrix = new Float64Array(size * size);
  for (const [i, value] of values.entries()) {
    const v = randomFloats(size, 100 + i);
    const length = product(v, v);
    for (let at = 0; at < matrix.length; at++)
      matrix[at]! += (value * v[Math.floor(at / size)]! * v[at % size]!) / length;
  }
  return matrix;
}

describe("eigenOf", () => {
  test.each([
    ["of one row", 1, [3]],
    ["of two rows", 2, [1, 1e-9]],
    ["of both signs", 7, [5, -4, 3, -2, 1, 0.5, -0.1]],
    ["of less rank than rows", 20, [7, 2, 1]],
    ["of eigenvalues many magnitudes apart", 32, Array.from({ length: 32 }, (_, i) => 10 ** -i)],
    ["of zeros", 5, []],
  ])("gives orthogonal vectors that a matrix only makes longer: %s", (_, size, made) => {
    const matrix = symmetric(size, made);
    const { values, vectors } = eigenOf(matrix, size);
    const largest = Math.max(...values.map(Math.abs)) || 1;
    expect(values.length).toBe(size);
    expect(values).toEqual(values.toSorted((a, b) => b - a));
    for (const [i, v] of vectors.entries()) {
      for (let row = 0; row < size; row++) {
        const turned = product(matrix.subarray(row * size, (row + 1) * size), v);
        expect(Math.abs(turned - values[i]! * v[row]!)).toBeLessThan(RELATIVE * largest);
      }
      for (const [j, w] of vectors.entries())
        expect(Math.abs(product(v, w) - (i === j ? 1 : 0))).toBeLessThan(RELATIVE);
    }
  });

  test("knows a diagonal matrix, and leaves what it is given alone", () => {
    const matrix = Float64Array.of(2, 0, 0, 0, -1, 0, 0, 0, 5);
    const { values, vectors } = eigenOf(matrix, 3);
    expect(values).toEqual([5, 2, -1]);
    expect(vectors.map((vector) => [...vector])).toEqual([
      [0, 0, 1],
      [1, 0, 0],
      [0, 1, 0],
    ]);
    expect([...matrix]).toEqual([2, 0, 0, 0, -1, 0, 0, 0, 5]);
  });
});
