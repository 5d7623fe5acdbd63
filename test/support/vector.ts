import { fromHalf, toHalf } from "../../src/f16.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { type Arithmetic, vectorBytes } from "../../src/kernels/vector.ts";
import { upload } from "./gpu.ts";

/** Where the parts of a vector stand, in u32: what input_<arithmetic>.wgsl says, written down a second time. */
function places(arithmetic: Arithmetic, columns: number) {
  const words = { i8: 8, f16: 16, f32: 32 }[arithmetic];
  const record = 2 * words + 4;
  return {
    values: (group: number) => record * Math.floor(group / 2) + words * (group % 2),
    // Each behind its scale, where there is one.
    sums: (group: number) =>
      record * Math.floor(group / 2) + 2 * words + (arithmetic === "f32" ? group % 2 : 2 * (group % 2) + 1),
    squares: record * Math.ceil(columns / 64),
  };
}

/** Where the halves of eight values stand among them: two bytes of a word of q4 have the weights of such a pair. */
const HALF_ORDER = [0, 2, 1, 3, 4, 6, 5, 7];

/** Value i of a group among its stored halves. */
function halfPlace(i: number): number {
  return i - (i % 8) + HALF_ORDER.indexOf(i % 8);
}

/**
 * A vector on the GPU, and the numbers that it stands for.
 * @param squares Of what the norm is taken of; its sum counts. Default: none.
 */
export function storeVector(
  gpu: Gpu,
  arithmetic: Arithmetic,
  x: Float32Array,
  squares = 0,
): { buffer: GPUBuffer; stored: Float32Array } {
  const words = new Uint32Array(vectorBytes(arithmetic, x.length) / 4);
  const floats = new Float32Array(words.buffer);
  const bytes = new Int8Array(words.buffer);
  const halves = new Uint16Array(words.buffer);
  const at = places(arithmetic, x.length);
  const stored = x.slice();
  for (let group = 0; group < x.length / 32; group++) {
    const values = x.subarray(32 * group, 32 * group + 32);
    const sums = at.sums(group);
    if (arithmetic === "i8") {
      const scale = Math.fround(values.reduce((most, v) => Math.max(most, Math.abs(v)), 0) / 127);
      const quants = Array.from(values, (v) => Math.round(v / (scale || 1)));
      bytes.set(quants, 4 * at.values(group));
      stored.set(
        quants.map((q) => q * scale),
        32 * group,
      );
      floats[sums - 1] = scale;
      floats[sums] = scale * quants.reduce((a, b) => a + b);
    } else if (arithmetic === "f16") {
      const largest = values.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
      const scale = 2 ** (Math.floor(Math.log2(largest || 1)) - 4);
      const own = stored.subarray(32 * group, 32 * group + 32);
      for (const [i, v] of values.entries()) {
        const half = toHalf(v / scale);
        halves[2 * at.values(group) + halfPlace(i)] = half;
        own[i] = fromHalf(half) * scale;
      }
      floats[sums - 1] = scale;
      floats[sums] = own.reduce((sum, v) => sum + v, 0);
    } else {
      floats.set(values, at.values(group));
      floats[sums] = values.reduce((sum, v) => sum + v, 0);
    }
    // Spread unevenly, and to the same sum.
    const share = (2 * (group + 1)) / ((x.length / 32) * (x.length / 32 + 1));
    floats[at.squares + group] = squares * share;
  }
  return { buffer: upload(gpu, words), stored };
}

/** The numbers that a vector stands for, the error that each may have, and the sum of squares that it holds. */
export function readVector(arithmetic: Arithmetic, words: Uint32Array, columns: number) {
  const floats = new Float32Array(words.buffer);
  const bytes = new Int8Array(words.buffer);
  const halves = new Uint16Array(words.buffer);
  const at = places(arithmetic, columns);
  const values = new Float32Array(columns);
  const halfSteps = new Float32Array(columns);
  let squares = 0;
  for (let group = 0; group < columns / 32; group++) {
    const scale = floats[at.sums(group) - 1]!;
    for (let i = 0; i < 32; i++) {
      const k = 32 * group + i;
      if (arithmetic === "i8") {
        values[k] = bytes[4 * at.values(group) + i]! * scale;
        halfSteps[k] = scale / 2;
      } else if (arithmetic === "f16") {
        values[k] = fromHalf(halves[2 * at.values(group) + halfPlace(i)]!) * scale;
        halfSteps[k] = Math.max(2 ** -11 * Math.abs(values[k]!), 2 ** -25 * scale);
      } else values[k] = floats[at.values(group) + i]!;
    }
    squares += floats[at.squares + group]!;
  }
  const sums = Array.from({ length: columns / 32 }, (_, group) => floats[at.sums(group)]!);
  return { values, halfSteps, squares, sums };
}
