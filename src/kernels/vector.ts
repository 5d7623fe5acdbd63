import { fromHalf, toHalf } from "../f16.ts";
import type { Feature } from "../gpu/features.ts";
import { scalesOf, type WeightFormat } from "../stored.ts";

/**
 * What a matrix is multiplied with, one vector at a time: "i8" is 8-bit groups of 32, each with a scale, multiplied by
 * packed integer dot products; "f32" is floats; "f16" is halves in groups of 32, each with a scale, multiplied two at a
 * time and added up in f32. The order is that of preference where nothing is measured. Every adapter has "f32", so "f16"
 * is taken only where measuring says so: where halves are emulated it is the slowest.
 */
export const ARITHMETICS = ["i8", "f32", "f16"] as const;
export type Arithmetic = (typeof ARITHMETICS)[number];

/** What the adapter must have for it. */
export const ARITHMETIC_NEEDS: Readonly<Record<Arithmetic, readonly Feature[]>> = {
  i8: ["dot"],
  f32: [],
  f16: ["f16"],
};

/** u32 of the record that two groups of 32 values take: input_<arithmetic>.wgsl has the layout. */
const RECORD = { i8: 20, f32: 68, f16: 36 } as const satisfies Record<Arithmetic, number>;

/** The parts that leave one, a group of 32 values at a time. */
export function storeParts(arithmetic: Arithmetic): string[] {
  return ["stored_group", ...(arithmetic === "f32" ? [] : ["store_rounded"]), `store_${arithmetic}`];
}

/** Bytes of a vector of `columns` values, the squares that its norm needs included. */
export function vectorBytes(arithmetic: Arithmetic, columns: number): number {
  const pairs = Math.ceil(columns / 64);
  // The shaders read squares four at a time.
  return 4 * (pairs * RECORD[arithmetic] + 4 * Math.ceil(columns / 32 / 4));
}

/**
 * Whether a matrix stored as `format` can be multiplied in `arithmetic`: integers and halves want weights with
 * scales, and f32 weights, which nobody decodes with for speed, have no way.
 */
export function canMultiply(format: WeightFormat, arithmetic: Arithmetic): boolean {
  return format !== "f32" && (arithmetic === "f32" || scalesOf(format) !== undefined);
}

/**
 * The vector scale · q as it stands in a buffer, in every arithmetic the same numbers.
 * @param quants [columns], a multiple of 32.
 * @param scaleOf Of each group of 32: a power of two.
 */
export function vectorOf(
  arithmetic: Arithmetic,
  quants: Int8Array,
  scaleOf: (group: number) => number,
): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(vectorBytes(arithmetic, quants.length) / 4);
  const [floats, bytes] = [new Float32Array(words.buffer), new Int8Array(words.buffer)];
  const halves = new Uint16Array(words.buffer);
  const record = RECORD[arithmetic];
  const squares = record * Math.ceil(quants.length / 64);
  for (let group = 0; group < quants.length / 32; group++) {
    const own = quants.subarray(32 * group, 32 * group + 32);
    const scale = scaleOf(group);
    const start = record * (group >> 1);
    const sums = start + record - 4;
    const sum = scale * own.reduce((total, q) => total + q, 0);
    if (arithmetic === "f32") {
      const values = Float32Array.from(own, (q) => scale * q);
      floats.set(values, start + 32 * (group % 2));
      floats[sums + (group % 2)] = sum;
    } else {
      if (arithmetic === "i8") bytes.set(own, 4 * (start + 8 * (group % 2)));
      // A quarter of 127 is a half within the bound that input_f16.wgsl has.
      else
        halves.set(
          Array.from(own, (_, i) => toHalf(own[halfAt(i)]! / 4)),
          2 * (start + 16 * (group % 2)),
        );
      floats[sums + 2 * (group % 2)] = arithmetic === "i8" ? scale : 4 * scale;
      floats[sums + 2 * (group % 2) + 1] = sum;
    }
    floats[squares + group] = own.reduce((total, q) => total + (scale * q) ** 2, 0);
  }
  return words;
}

/** What a vector that a shader stored stands for. */
interface StoredVector {
  readonly values: Float64Array; //  [columns]
  /** How far rounding may have taken each of them. */
  readonly rounding: Float64Array; // [columns]
  /** Of each group of 32, what stands beside it: the sum of its values, and the sum of squares for the norm. */
  readonly sums: Float64Array; //    [columns / 32]
  readonly squares: Float64Array; // [columns / 32]
}

/** Reads what store_<arithmetic>.wgsl writes. */
export function readVector(arithmetic: Arithmetic, words: Uint32Array, columns: number): StoredVector {
  const own = words.slice();
  const [floats, bytes, halves] = [Float32Array, Int8Array, Uint16Array].map((View) => new View(own.buffer));
  const record = RECORD[arithmetic];
  const values = new Float64Array(columns);
  const rounding = new Float64Array(columns);
  const groups = columns / 32;
  const sums = new Float64Array(groups);
  for (let group = 0; group < groups; group++) {
    const start = record * (group >> 1);
    const at = start + record - 4 + (arithmetic === "f32" ? group % 2 : 2 * (group % 2));
    const scale = floats![at]!;
    sums[group] = arithmetic === "f32" ? scale : floats![at + 1]!;
    for (let i = 0; i < 32; i++) {
      const k = 32 * group + i;
      if (arithmetic === "f32") {
        values[k] = floats![start + 32 * (group % 2) + i]!;
      } else if (arithmetic === "i8") {
        values[k] = scale * bytes![4 * (start + 8 * (group % 2)) + i]!;
        rounding[k] = scale / 2;
      } else {
        const stored = 32 * group + halfAt(i);
        values[stored] = scale * fromHalf(halves![2 * (start + 16 * (group % 2)) + i]!);
        // WGSL leaves it to the adapter which of the two halves beside a number it takes, and whether the least are zeros.
        rounding[stored] = 2 ** -10 * Math.abs(values[stored]!) + 2 ** -14 * scale;
      }
    }
  }
  const squares = record * Math.ceil(columns / 64);
  return { values, rounding, sums, squares: Float64Array.from(floats!.subarray(squares, squares + groups)) };
}

/** Which value of a group is the half at a place: see input_f16.wgsl. */
function halfAt(place: number): number {
  return place - (place % 8) + [0, 2, 1, 3, 4, 6, 5, 7][place % 8]!;
}
