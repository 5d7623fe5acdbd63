import { describe, expect, test } from "vitest";
import { compareLogits, klDivergence, negativeLogLikelihood } from "../../../fixtures/peers/metrics.ts";

/** Logits whose softmax is exactly these probabilities, and a constant that softmax takes away. */
function logits(...probabilities: number[]): Float64Array {
  return Float64Array.from(probabilities, (p) => Math.log(p) + 700);
}

describe("KL divergence", () => {
  test("is the sum of p log(p / q), in nats", () => {
    const kl = klDivergence(logits(0.5, 0.25, 0.25), logits(0.25, 0.25, 0.5));
    expect(kl).toBeCloseTo(0.5 * Math.log(2) + 0.25 * Math.log(0.5), 12);
  });

  test("is zero for logits that differ by a constant", () => {
    expect(klDivergence(Float64Array.of(1, 2, 3), Float64Array.of(-4, -3, -2))).toBeCloseTo(0, 14);
  });
});

describe("rows of logits", () => {
  const reference = Float64Array.of(3, 1, 2, /**/ 0, 5, 4.5);

  test("agree with themselves, and say how close the two best are", () => {
    const same = { positions: 2, meanKl: 0, maxKl: 0, sameTop: 2, leastMargin: 0.5 };
    expect(compareLogits(reference, reference, 3)).toEqual(same);
  });

  test("are compared one by one", () => {
    const other = Float64Array.of(3, 1, 2, /**/ 0, 4.5, 5);
    const found = compareLogits(reference, other, 3);
    const kl = klDivergence(reference.subarray(3), other.subarray(3));
    expect(found).toEqual({ positions: 2, meanKl: kl / 2, maxKl: kl, sameTop: 1, leastMargin: 0.5 });
  });

  test("that are no numbers are within no bound", () => {
    const broken = compareLogits(reference, Float64Array.of(3, 1, 2, Number.NaN, 5, 4.5), 3);
    expect(broken.meanKl < 1).toBe(false);
    expect(broken.maxKl < 1).toBe(false);
  });

  test("of another shape are refused", () => {
    expect(() => compareLogits(reference, reference.subarray(3), 3)).toThrow("3 logits to compare with 6");
    expect(() => compareLogits(reference, reference, 4)).toThrow("6 logits; wanted rows of 4");
  });
});

test("negative log-likelihood is summed over the targets", () => {
  const rows = Float64Array.of(...logits(0.5, 0.5), ...logits(0.2, 0.8));
  expect(negativeLogLikelihood(rows, [0, 1], 2)).toBeCloseTo(-Math.log(0.5) - Math.log(0.8), 12);
});
