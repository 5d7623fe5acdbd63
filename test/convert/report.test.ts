import { expect, test } from "vitest";
import { addErrors, NO_ERROR, quantisationError, summarise } from "../../src/convert/report.ts";
import { packRows, unpackRows } from "../../src/quantize/pack.ts";
import { WEIGHT_FORMATS, type WeightFormat } from "../../src/stored.ts";
import { randomFloats } from "../support/random.ts";

/** Relative: a difference that was rounded to float32 is off by 2^-24 at most, its square by twice that. */
const ROUNDED = 2 ** -23;

const errorOf = (format: WeightFormat, rows: Float32Array, columns: number) =>
  quantisationError(format, rows, packRows(format, rows, columns), columns);

test("a group whose error is known", () => {
  // Levels of scale 1 above -8, but for one weight that lies a quarter beside its level.
  const rows = Float32Array.from({ length: 32 }, (_, i) => (i % 16) - 8);
  rows[8] = 0.25;
  const squares = rows.reduce((sum, weight) => sum + weight * weight, 0);
  const words = Uint32Array.of(0x73625140, 0xfbead9c8, 0x73625140, 0xfbead9c8);
  const packed = { words, scales: Uint32Array.of(0x3c003c00, 1, 8, 0) };
  expect(quantisationError("q4", rows, packed, 32)).toEqual({
    weights: 32,
    bytes: 32,
    squares,
    squaredError: 0.0625,
  });
});

test.each(WEIGHT_FORMATS)("%s: the sums over every weight", (format) => {
  const [count, columns] = [101, 160]; // more than is unpacked at a time, and no multiple of it
  const rows = randomFloats(count * columns, 5);
  const packed = packRows(format, rows, columns);
  const errors = unpackRows(format, packed, count, columns).map((found, i) => rows[i]! - found);
  const sum = (numbers: Float32Array) => numbers.reduce((all, number) => all + number * number, 0);
  const { squares, squaredError } = quantisationError(format, rows, packed, columns);
  expect(squares / sum(rows)).toBeCloseTo(1, 12);
  expect(Math.abs(squaredError - sum(errors))).toBeLessThanOrEqual(ROUNDED * sum(errors));
});

test("blocks add up to the whole", () => {
  const rows = randomFloats(12 * 64, 4);
  const whole = errorOf("q4", rows, 64);
  const parts = [rows.subarray(0, 4 * 64), rows.subarray(4 * 64)].map((part) => errorOf("q4", part, 64));
  const sum = parts.reduce(addErrors, NO_ERROR);
  expect([sum.weights, sum.bytes]).toEqual([whole.weights, whole.bytes]);
  expect(sum.squares).toBeCloseTo(whole.squares, 9);
  expect(sum.squaredError).toBeCloseTo(whole.squaredError, 9);
});

test.each([
  ["f32", 32, 0, 0],
  ["f16", 16, 1e-5, 5e-4],
  ["q8", 8.5, 5e-4, 0.02],
  ["q4", 4.5, 0.03, 0.1],
] as const)("%s has %d bits a weight and a relative error between %d and %d", (format, bits, least, most) => {
  const { bitsPerWeight, relativeError } = summarise(errorOf(format, randomFloats(64 * 256, 6), 256));
  expect(bitsPerWeight).toBe(bits);
  expect(relativeError).toBeGreaterThanOrEqual(least);
  expect(relativeError).toBeLessThanOrEqual(most);
});

test("nothing, and zeros, have no relative error", () => {
  expect(summarise(NO_ERROR)).toEqual({ bitsPerWeight: 0, relativeError: 0 });
  expect(summarise(errorOf("q4", new Float32Array(512), 256))).toEqual({
    bitsPerWeight: 4.5,
    relativeError: 0,
  });
});
