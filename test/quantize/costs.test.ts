import { describe, expect, test } from "vitest";
import { columnCosts, RUN } from "../../src/quantize/costs.ts";
import { randomFloats, randomStream } from "../support/random.ts";

/** Float64 sums over 512 columns, of inputs that are float32 anyway. */
const RELATIVE = 1e-9;

/** Mean squares and directions of random columns: some idle, some that their directions account for wholly. */
function randomImportance(columns: number, count: number): Float32Array {
  const next = randomStream(columns + count);
  const importance = randomFloats((1 + count) * columns, 7, 3);
  for (let k = 0; k < columns; k++) {
    let squares = 0;
    for (let i = 1; i <= count; i++) {
      if (k % 19 === 5) importance[i * columns + k] = 0;
      squares += importance[i * columns + k]! ** 2;
    }
    importance[k] = squares + (k % 7 === 3 ? 0 : next());
    if (k % 19 === 5) importance[k] = 0;
  }
  return importance;
}

describe("the costs of errors", () => {
  test.each([
    [32, 1],
    [96, 3],
    [512, 8],
    [64, 20],
  ])("are least with the pull, for %d columns and %d directions", (columns, count) => {
    const importance = randomImportance(columns, count);
    const costs = columnCosts(columns, importance);
    expect(costs.count).toBe(count);
    const average = importance.subarray(0, columns).reduce((a, b) => a + b) / columns;
    const direction = (k: number, i: number) => importance[(1 + i) * columns + k]! / Math.sqrt(average);
    const own = Float64Array.from({ length: columns }, (_, k) => {
      const square = importance[k]! / average;
      let left = square;
      for (let i = 0; i < count; i++) left -= direction(k, i) ** 2;
      return Math.max(left, 0.05 * square) + 1e-4;
    });

    // Each run does its part for what is left before it, from a first error that nobody chose.
    const left = Float64Array.from({ length: count }, (_, i) => 1 + i);
    const errors = new Float64Array(columns);
    for (let start = 0; start < columns; start += RUN) {
      for (let k = start; k < start + RUN; k++) {
        for (let i = 0; i < count; i++)
          errors[k]! -= costs.pull[start * count + i * RUN + (k - start)]! * left[i]!;
      }
      for (let k = start; k < start + RUN; k++)
        for (let i = 0; i < count; i++) left[i]! += direction(k, i) * errors[k]!;
    }
    // Σ D e² + Σ left² has its minimum where every derivative is zero.
    for (let k = 0; k < columns; k++) {
      const forces = Array.from(left, (value, i) => direction(k, i) * value);
      const balance = own[k]! * errors[k]! + forces.reduce((a, b) => a + b, 0);
      const size = forces.reduce((sum, force) => sum + Math.abs(force), own[k]! * Math.abs(errors[k]!));
      expect(Math.abs(balance)).toBeLessThanOrEqual(RELATIVE * size);
    }
    expect(errors.some((error) => error !== 0)).toBe(true);
  });

  test("spread is the variance, by the first direction alone, and no column's is nothing", () => {
    const importance = Float32Array.of(...Array(32).fill(4), ...Array(31).fill(1), 2, ...Array(32).fill(1));
    const { spread } = columnCosts(32, importance);
    expect(spread[0]).toBeCloseTo(0.75 + 1e-4, 12);
    expect(spread[31]).toBe(1e-4);
    expect([...columnCosts(32).spread]).toEqual(Array(32).fill(1));
  });
});
