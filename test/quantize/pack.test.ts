import { describe, expect, test } from "vitest";
import { CheckpointError } from "../../src/errors.ts";
import { fromHalf, widenHalves } from "../../src/f16.ts";
import { packHalves, packRows, unpackRows } from "../../src/quantize/pack.ts";
import { storedBytes, WEIGHT_FORMATS, type WeightFormat } from "../../src/stored.ts";
import { randomFloats, randomStream } from "../support/random.ts";

/** float32 keeps 24 bits: a scale times an integer level is off by half a unit in the last place at most. */
const FLOAT_ROUNDING = 2 ** -24;
/** Measured 0.893 over 2^17 normal weights. */
const SHARE_OF_CLASSIC_ERROR = 0.9;

/** Measured 0.531 over 2^17 normal weights, with 5 bits a weight each. */
const SHARE_OF_LOWEST_TO_HIGHEST_ERROR = 0.55;

/** Measured 0.76 for q4a and 0.92 for q4 with importances that spread over e^4. */
const SHARE_WITH_IMPORTANCE = 0.95;

const roundTrip = (format: WeightFormat, rows: Float32Array, columns: number) =>
  unpackRows(format, packRows(format, rows, columns), rows.length / columns, columns);

const squaredError = (found: Float32Array, wanted: Float32Array) =>
  wanted.reduce((sum, weight, i) => sum + (weight - found[i]!) ** 2, 0) /
  wanted.reduce((sum, weight) => sum + weight ** 2, 0);

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
    const { words, scales } = packRows("q8", rows, 32);
    expect(words.length).toBe(16);
    expect(words[0]).toBe(0x03020100);
    expect(words[7]).toBe(0x7f1e1d1c);
    expect(words[15]! >>> 24).toBe(256 - 127);
    // Both scales in one word, the first in its low half.
    expect([...scales!]).toEqual([0x40003c00]);
  });

  test("q4 has weights 8j + b and 8j + 4 + b in byte b", () => {
    // Levels 0 to 15 and back again, exactly on the grid of scale 1.
    const levels = Array.from({ length: 32 }, (_, i) => (i < 16 ? i : 31 - i));
    const { words, scales } = packRows(
      "q4",
      Float32Array.from(levels, (level) => level - 8),
      32,
    );
    expect([...words]).toEqual([0x73625140, 0xfbead9c8, 0x8c9daebf, 0x04152637]);
    expect([...scales!]).toEqual([0x3c00]); // padded with a zero half
  });

  test("q4a has q4's words, and for each sixteen weights a scale below a zero point", () => {
    // Levels 0 to 15 and back again, on the grid of scale 1 with zero point 8 and of scale 1/2 with zero point 2.125.
    const rising = Array.from({ length: 16 }, (_, i) => i);
    const { words, scales } = packRows(
      "q4a",
      Float32Array.from([
        ...rising.map((level) => level - 8),
        ...rising.reverse().map((level) => 0.5 * (level - 2.125)),
      ]),
      32,
    );
    expect([...words]).toEqual([0x73625140, 0xfbead9c8, 0x8c9daebf, 0x04152637]);
    // f16 has 1 as 0x3c00 and 1/2 as 0x3800; shifted right by six they are 0xf0 and 0xe0.
    expect([...scales!]).toEqual([((17 << 25) | (0xe0 << 16) | (64 << 9) | 0xf0) >>> 0]);
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
    expect(storedBytes("q4a", 39424, 5120)).toEqual({ words: 100925440, scales: 25231360 });
  });

  test("rows packed together are rows packed apart", () => {
    const rows = randomFloats(6 * 64, 3);
    for (const format of WEIGHT_FORMATS) {
      const whole = packRows(format, rows, 64);
      const last = packRows(format, rows.subarray(4 * 64), 64);
      expect(whole.words.subarray((whole.words.length / 6) * 4)).toEqual(last.words);
      expect(whole.scales?.subarray((whole.scales.length / 6) * 4)).toEqual(last.scales);
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
        const g = i >> 5;
        const scale = fromHalf(scales![g >> 1]! >>> ((g & 1) * 16));
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

  test("q4 gives each weight the nearest of its sixteen levels", () => {
    for (const [seed, spread] of spreads.entries()) {
      const rows = randomFloats(32 * 6, 100 + seed, spread);
      const found = roundTrip("q4", rows, 96);
      const { scales } = packRows("q4", rows, 96);
      for (let i = 0; i < rows.length; i++) {
        const g = i >> 5;
        const scale = fromHalf(scales![g >> 1]! >>> ((g & 1) * 16));
        let nearest = Number.POSITIVE_INFINITY;
        for (let level = -8; level < 8; level++)
          nearest = Math.min(nearest, Math.abs(rows[i]! - scale * level));
        const rounding = Math.abs(8 * scale) * FLOAT_ROUNDING;
        expect(Math.abs(found[i]! - rows[i]!)).toBeLessThanOrEqual(nearest + rounding);
      }
    }
  });

  test("q4a gives each weight the nearest of its sixteen levels", () => {
    for (const [seed, spread] of spreads.entries()) {
      const rows = randomFloats(32 * 6, 200 + seed, spread);
      const found = roundTrip("q4a", rows, 96);
      const { scales } = packRows("q4a", rows, 96);
      for (let i = 0; i < rows.length; i++) {
        const g = i >> 4;
        const code = scales![g >> 1]! >>> ((g & 1) * 16);
        const scale = fromHalf((code & 0x1ff) << 6);
        const zero = ((code >>> 9) & 0x7f) / 8;
        let nearest = Number.POSITIVE_INFINITY;
        for (let level = 0; level < 16; level++)
          nearest = Math.min(nearest, Math.abs(rows[i]! - scale * (level - zero)));
        const rounding = Math.abs(16 * scale) * FLOAT_ROUNDING;
        expect(Math.abs(found[i]! - rows[i]!)).toBeLessThanOrEqual(nearest + rounding);
      }
    }
  });

  const normal = (count: number): Float32Array => {
    const stream = randomStream(5);
    return Float32Array.from(
      { length: count },
      () => Math.sqrt(-2 * Math.log(1 - stream())) * Math.cos(2 * Math.PI * stream()),
    );
  };

  test("q4's squared error is a tenth below the classic scale's on normal weights", () => {
    const rows = normal(1 << 17);
    const classic = rows.map((weight, i) => {
      const group = rows.subarray(i & ~31, (i & ~31) + 32);
      const scale = group.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a)) / -8;
      return scale * Math.max(-8, Math.min(7, Math.round(weight / scale)));
    });
    const share = squaredError(roundTrip("q4", rows, 4096), rows) / squaredError(classic, rows);
    expect(share).toBeLessThan(SHARE_OF_CLASSIC_ERROR);
  });

  test("q4a's is little more than half of that of levels from the lowest to the highest of 32 weights", () => {
    const rows = normal(1 << 17);
    const classic = rows.map((weight, i) => {
      const group = rows.subarray(i & ~31, (i & ~31) + 32);
      const lowest = group.reduce((a, b) => Math.min(a, b));
      const scale = (group.reduce((a, b) => Math.max(a, b)) - lowest) / 15;
      return lowest + scale * Math.round((weight - lowest) / scale);
    });
    const share = squaredError(roundTrip("q4a", rows, 4096), rows) / squaredError(classic, rows);
    expect(share).toBeLessThan(SHARE_OF_LOWEST_TO_HIGHEST_ERROR);
  });

  test.each(["q4a", "q4"] as const)("%s: what importance weighs is off by less", (format) => {
    const columns = 256;
    const rows = normal(64 * columns);
    const next = randomStream(8);
    const importance = Float32Array.from({ length: columns }, () => Math.exp(4 * next() - 2));
    const weighted = (found: Float32Array) =>
      rows.reduce((sum, weight, i) => sum + importance[i % columns]! * (weight - found[i]!) ** 2, 0);
    const packed = packRows(format, rows, columns, importance);
    const found = unpackRows(format, packed, 64, columns);
    expect(weighted(found)).toBeLessThan(SHARE_WITH_IMPORTANCE * weighted(roundTrip(format, rows, columns)));
    // Only proportions count.
    const scaled = importance.map((value) => value * 4096);
    expect(packRows(format, rows, columns, scaled)).toEqual(packed);
  });

  test("f32 and f16 weights that are f16 already come back exactly", () => {
    const rows = randomFloats(64 * 3, 9).map((weight) => Math.round(weight * 256) / 256);
    expect(roundTrip("f32", rows, 64)).toEqual(rows);
    expect(roundTrip("f16", rows, 64)).toEqual(rows);
  });

  test("q4a keeps zeros among others of any sign, and groups of one sign", () => {
    const rows = new Float32Array(64);
    rows[3] = -0.75;
    rows[20] = 0.3;
    for (let i = 32; i < 48; i++) rows[i] = 5 + i / 100;
    for (let i = 48; i < 64; i++) rows[i] = -5 - i / 100;
    const found = roundTrip("q4a", rows, 64);
    for (const [i, weight] of found.entries())
      expect(Math.abs(weight - rows[i]!)).toBeLessThanOrEqual(Math.abs(rows[i]!) / 16);
  });

  test.each(["q8", "q4"] as const)("%s keeps zeros, one lone weight and the smallest ones", (format) => {
    const rows = new Float32Array(128);
    rows[40] = -0.75; // group 1
    rows[70] = 2 ** -24; // group 2
    rows[100] = 2 ** -60; // group 3: below half of the finest scale there is
    const found = roundTrip(format, rows, 128);
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
    ["q4", 6e5],
    ["q4a", 1e6],
  ] as const)("%s: a weight of %d", (format, weight) => {
    const rows = new Float32Array(64);
    rows[33] = -weight;
    expect(() => packRows(format, rows, 32)).toThrow(
      `row 1, column 1 is ${-weight}, too large for ${format}`,
    );
  });

  test.each([
    [new Float32Array(63).fill(1), "these are 63 numbers with the sum 63"],
    [new Float32Array(64).fill(-1), "64 numbers with the sum NaN"],
    [new Float32Array(64).fill(Number.POSITIVE_INFINITY), "64 numbers with the sum Infinity"],
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
      "64 bytes of words and 8 of scales; these have 32 and 4",
    );
    expect(() => unpackRows("q4", { words: packed.words }, 1, 64)).toThrow("these have 32 and 0");
  });
});
