import { describe, expect, test } from "vitest";
import { CheckpointError } from "../../src/errors.ts";
import { fromHalf, widenHalves } from "../../src/f16.ts";
import { packHalves, packRows, unpackRows } from "../../src/quantize/pack.ts";
import { storedBytes, WEIGHT_FORMATS, type WeightFormat } from "../../src/stored.ts";
import { randomFloats, randomStream } from "../support/random.ts";

/** float32 keeps 24 bits: a scale times an integer level is off by half a unit in the last place at most. */
const FLOAT_ROUNDING = 2 ** -24;
const roundTrip = (format: WeightFormat, rows: Float32Array, columns: number) =>
  unpackRows(format, packRows(format, rows, columns), rows.length / columns, columns);

/** What a refusal says, or undefined. */
function refusalOf(pack: () => unknown): string | undefined {
  try {
    pack();
    return undefined;
  } catch (error) {
    return error instanceof CheckpointError ? error.message : expect.unreachable(String(error));
  }
}

describe("layout", () => {
  test("f32 words are the bits", () => {
    const { words, scales } = packRows("f32", new Float32Array(32).fill(-2), 32);
    expect([words.length, words[0], scales]).toEqual([32, 0xc0000000, undefined]);
  });

  test("f16 has weight 2i in the low half", () => {
    const { words } = packRows(
      "f16",
      Float32Array.from({ length: 32 }, (_, i) => i),
      32,
    );
    expect([words.length, words[0], words[1]]).toEqual([16, 0x3c000000, 0x42004000]);
  });

  test("halves are the words of f16 where they are finite, and refused as their numbers are", () => {
    const every = Uint16Array.from({ length: 65536 }, (_, half) => half);
    const finite = (half: number) => (half & 0x7c00) !== 0x7c00;
    // Moved by two bytes, they are not where a u32 may begin.
    for (const start of [0, 1]) {
      const rows = new Uint16Array([...Array(start), ...every.filter(finite)]).subarray(start);
      expect(packHalves(rows, 32).words).toEqual(packRows("f16", widenHalves(rows), 32).words);
    }
    // Infinities and some of the NaNs: an error takes its time.
    const some = every.filter((half) => finite(half) || (half & 0x3f) < 2);
    const missed = some.filter((half) => {
      for (const at of [6, 7]) {
        const rows = new Uint16Array(64);
        rows[32 + at] = half;
        const refused = refusalOf(() => packHalves(rows, 32, { tensor: "x", first: 5 }));
        if (
          refused !==
          refusalOf(() => packRows("f16", widenHalves(rows), 32, undefined, { tensor: "x", first: 5 }))
        )
          return true;
        if (!finite(half) !== (refused?.startsWith(`x: The weight at row 6, column ${at} is `) ?? false))
          return true;
      }
      return false;
    });
    expect([...missed]).toEqual([]);
    expect(() => packHalves(new Uint16Array(63), 32)).toThrow("hand packRows() complete rows");
    expect(() => packHalves(new Uint16Array(66), 33)).toThrow("33 columns are no positive multiple of 32");
  });

  test("q8 has weight 4i + b in byte b", () => {
    const rows = Float32Array.from({ length: 64 }, (_, i) => (i % 32) - 127 * Number(i % 32 === 31));
    rows[31] = 127;
    rows[63] = -254;
    const { words, scales } = packRows("q8", rows, 64);
    expect(words.length).toBe(16);
    expect(words[0]).toBe(0x03020100);
    expect(words[7]).toBe(0x7f1e1d1c);
    expect(words[15]! >>> 24).toBe(256 - 127);
    // Both scales in one word, the first in its low half; a row of one group leaves the high half zero.
    expect([...scales!]).toEqual([0x40003c00]);
    expect([...packRows("q8", rows, 32).scales!]).toEqual([0x3c00, 0x4000]);
  });

  test.each(WEIGHT_FORMATS)("%s takes the bytes it says", (format) => {
    for (const [count, columns] of [
      [1, 32],
      [3, 32],
      [2, 96],
      [5, 4096],
    ] as const) {
      const { words, scales } = packRows(format, randomFloats(count * columns, 7), columns);
      expect({ words: words.byteLength, scales: scales?.byteLength ?? 0 }).toEqual(
        storedBytes(format, count, columns),
      );
    }
    expect(storedBytes("q4", 39424, 5120)).toEqual({ words: 100925440, scales: 12615680 });
    expect(storedBytes("q4", 3, 704)).toEqual({ words: 1056, scales: 144 });
    expect(storedBytes("q8", 3, 96)).toEqual({ words: 288, scales: 24 });
  });

  test("rows packed together are rows packed apart", () => {
    const rows = randomFloats(6 * 96, 3);
    for (const format of WEIGHT_FORMATS) {
      const whole = packRows(format, rows, 96);
      const last = packRows(format, rows.subarray(5 * 96), 96);
      expect(whole.words.subarray((whole.words.length / 6) * 5)).toEqual(last.words);
      expect(whole.scales?.subarray((whole.scales.length / 6) * 5)).toEqual(last.scales);
    }
  });
});

describe("error of quantisation", () => {
  const next = randomStream(11);
  const spreads = Array.from({ length: 60 }, () => 2 ** (next() * 36 - 26));

  test("q8 is off by half a step, whose scale is the largest weight / 127 rounded to f16", () => {
    for (const [seed, spread] of spreads.entries()) {
      const rows = randomFloats(32 * 6, seed, spread);
      const found = roundTrip("q8", rows, 96);
      const { scales } = packRows("q8", rows, 96);
      for (let i = 0; i < rows.length; i++) {
        const group = rows.subarray(i - (i % 32), i - (i % 32) + 32);
        const largest = Math.max(...group.map(Math.abs));
        // Two u32 a row: three scales and a half that none needs.
        const [row, g] = [Math.floor(i / 96), (i % 96) >> 5];
        const scale = fromHalf(scales![2 * row + (g >> 1)]! >>> ((g & 1) * 16));
        // f16 rounds to 11 bits, or to a multiple of 2^-24.
        expect(Math.abs(scale - largest / 127)).toBeLessThanOrEqual(
          Math.max((largest / 127) * 2 ** -11, 2 ** -24),
        );
        // The largest weight can lie beyond level 127 by as much as the scale was rounded down.
        const bound = Math.max(scale / 2, largest - 127 * scale) + largest * FLOAT_ROUNDING;
        expect(Math.abs(found[i]! - rows[i]!)).toBeLessThanOrEqual(bound);
      }
    }
  });

  test("f32 and f16 weights that are f16 already come back exactly", () => {
    const rows = randomFloats(64 * 3, 9).map((weight) => Math.round(weight * 256) / 256);
    expect(roundTrip("f32", rows, 64)).toEqual(rows);
    expect(roundTrip("f16", rows, 64)).toEqual(rows);
  });

  test("q8 keeps zeros, one lone weight and the smallest ones", () => {
    const rows = new Float32Array(128);
    rows[40] = -0.75; // group 1
    rows[70] = 2 ** -24; // group 2
    rows[100] = 2 ** -60; // group 3: below half of the finest scale there is
    const found = roundTrip("q8", rows, 128);
    expect(found[40]).toBeCloseTo(-0.75, 3);
    expect(found[70]).toBe(2 ** -24);
    expect(found.filter((weight) => weight !== 0).length).toBe(2);
  });
});

describe("refusals", () => {
  test.each([0, 31, 33, -32, 1.5])("columns %d", (columns) => {
    expect(() => packRows("q4", new Float32Array(96), columns)).toThrow(/groups of 32 columns/);
  });

  test("rows that are not whole", () => {
    expect(() => packRows("q8", new Float32Array(96), 64)).toThrow(
      "96 weights are not whole rows of 64 columns",
    );
  });

  test.each(WEIGHT_FORMATS)("%s: weights that are not finite, with where", (format) => {
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const rows = randomFloats(5 * 64, 2);
      rows[3 * 64 + 41] = bad;
      const message = "The weight at row 103, column 41 is";
      expect(() => packRows(format, rows, 64, undefined, { tensor: "a.weight in b", first: 100 })).toThrow(
        new CheckpointError(
          `a.weight in b: ${message} ${bad}: a checkpoint with weights that are not finite cannot be used, so fetch or convert it again.`,
        ),
      );
      expect(() => packRows(format, rows, 64)).toThrow(
        `The matrix: The weight at row 3, column 41 is ${bad}`,
      );
    }
  });

  test.each([
    ["f16", 65520],
    ["q8", 9e6],
    ["q4", 7e7],
  ] as const)("%s: a weight of %d", (format, weight) => {
    const rows = new Float32Array(64);
    rows[33] = -weight;
    expect(() => packRows(format, rows, 32)).toThrow(
      `row 1, column 1 is ${-weight}, too large for ${format}`,
    );
  });

  test.each([
    [new Float32Array(127).fill(1), "these are 127 numbers, of which the first 64 have the sum 64"],
    [new Float32Array(64).fill(1), "these are 64 numbers, of which the first 64 have the sum 64"],
    [new Float32Array(160).fill(1), "these are 160 numbers"],
    [new Float32Array(128).fill(-1), "128 numbers, of which the first 64 have the sum -64"],
    [new Float32Array(128).fill(Number.POSITIVE_INFINITY), "the first 64 have the sum Infinity"],
    [new Float32Array(128).fill(Number.NaN, 127), "the first 64 have the sum 0"],
    [
      new Float32Array(256).fill(Number.POSITIVE_INFINITY, 255),
      "256 numbers, of which the first 64 have the sum 0",
    ],
  ])("importance that is no importance %#", (importance, message) => {
    expect(() => packRows("q4", new Float32Array(64), 64, importance)).toThrow(message);
  });

  test("room that is too small to unpack into", () => {
    const rows = randomFloats(64, 2);
    expect(() => unpackRows("q4", packRows("q4", rows, 32), 2, 32, new Float32Array(63))).toThrow(
      "2 rows of 32 weights need room for 64; this has 63.",
    );
    const room = new Float32Array(70).fill(9);
    const unpacked = unpackRows("f32", packRows("f32", rows, 32), 2, 32, room);
    expect([unpacked.buffer, unpacked.length, room[64]]).toEqual([room.buffer, 64, 9]);
    expect(unpacked).toEqual(rows);
  });

  test("packed arrays of another length", () => {
    const packed = packRows("q4", new Float32Array(64), 64);
    expect(() => unpackRows("q4", packed, 2, 64)).toThrow(
      "64 bytes of words and 32 of scales; these have 32 and 16",
    );
    expect(() => unpackRows("q4", { words: packed.words }, 1, 64)).toThrow("these have 32 and 0");
  });
});
