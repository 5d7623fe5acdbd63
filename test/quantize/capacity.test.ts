import { expect, test } from "vitest";
import { OptionError } from "../../src/errors.ts";
import { packRows, unpackRows } from "../../src/quantize/pack.ts";
import { GROUP_SIZE, type PackedRows, STORED, scalesOf, WEIGHT_FORMATS } from "../../src/stored.ts";

/** Of a group whose weights are all alike: half a step of four bits, as a share of the weight. */
const MOST_ERROR = 1 / 15;

/** The array with one element less or more at its end. */
const resized = (array: Uint32Array, by: number) => {
  const result = new Uint32Array(array.length + by);
  result.set(array.subarray(0, result.length));
  return result;
};

// Odd numbers of groups leave half a word of scales over; seven groups are a short block, nine and 22 more than one.
const SHAPES = [1, 2, 3, 7].flatMap((rows) =>
  [1, 2, 7, 8, 9, 22].map((groups) => [rows, groups * GROUP_SIZE] as const),
);

test.each(WEIGHT_FORMATS)("rows of %s fill their arrays to the last word, and need no more", (format) => {
  for (const [rows, columns] of SHAPES) {
    const count = rows * columns;
    // Every weight counts, also the last of the last group, which no other has the size of.
    const weights = Float32Array.from({ length: count }, (_, i) => 1 + Math.floor(i / GROUP_SIZE));
    const packed = packRows(format, weights, columns);
    const { words, scales = new Uint32Array(0) } = packed;
    expect(words.length).toBe((count * STORED[format].bits) / 32);
    const { weights: block, u32s } = scalesOf(format) ?? { weights: columns, u32s: 0 };
    expect(scales.length).toBe(rows * Math.ceil(columns / block) * u32s);
    const target = new Float32Array(count + 1).fill(-9);
    expect(unpackRows(format, packed, rows, columns, target)).toHaveLength(count);
    expect(target[count]).toBe(-9);
    const wrong = weights.findIndex((weight, i) => !(Math.abs(target[i]! - weight) < weight * MOST_ERROR));
    expect(wrong, `${rows} × ${columns}`).toBe(-1);
    expect(() => unpackRows(format, packed, rows, columns, new Float32Array(count - 1))).toThrow(OptionError);
    expect(unpackRows(format, packed, rows, columns, new Float32Array(count))).toEqual(
      target.subarray(0, -1),
    );
    const others: PackedRows[] = [-1, 1].flatMap((by) => [
      { ...packed, words: resized(words, by) },
      ...(packed.scales ? [{ ...packed, scales: resized(scales, by) }] : []),
    ]);
    for (const other of others) {
      expect(() => unpackRows(format, other, rows, columns)).toThrow(`${rows} rows of ${columns}`);
    }
  }
});

test.each([-1, 1])("%i weight beside whole rows, or an importance beside the columns, is refused", (more) => {
  expect(() => packRows("q4", new Float32Array(128 + more), 64)).toThrow("are not whole rows of 64 columns");
  const importance = new Float32Array(128 + more).fill(1);
  expect(() => packRows("q4", new Float32Array(128), 64, importance)).toThrow(
    `these are ${128 + more} numbers`,
  );
});
