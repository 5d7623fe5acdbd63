import type { Gpu } from "../../src/gpu/device.ts";
import { type Arithmetic, vectorBytes } from "../../src/kernels/vector.ts";
import { upload } from "./gpu.ts";

/** Where the parts of a vector stand, in u32: what input_<arithmetic>.wgsl says, written down a second time. */
function places(arithmetic: Arithmetic, columns: number) {
  const record = arithmetic === "i8" ? 20 : 68;
  return {
    values: (group: number) => record * Math.floor(group / 2) + (arithmetic === "i8" ? 8 : 32) * (group % 2),
    sums: (group: number) =>
      record * Math.floor(group / 2) + (arithmetic === "i8" ? 16 : 64) + 2 * (group % 2),
    squares: record * Math.ceil(columns / 64),
  };
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
      floats[sums] = scale;
      floats[sums + 1] = scale * quants.reduce((a, b) => a + b);
    } else {
      floats.set(values, at.values(group));
      floats[sums] = values.reduce((sum, v, i) => sum + v * (i % 8 < 4 ? 16 : 1), 0);
      floats[sums + 1] = values.reduce((sum, v) => sum + v, 0);
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
  const at = places(arithmetic, columns);
  const values = new Float32Array(columns);
  const halfSteps = new Float32Array(columns);
  let squares = 0;
  for (let group = 0; group < columns / 32; group++) {
    const sums = at.sums(group);
    for (let i = 0; i < 32; i++) {
      const k = 32 * group + i;
      values[k] =
        arithmetic === "i8"
          ? bytes[4 * at.values(group) + i]! * floats[sums]!
          : floats[at.values(group) + i]!;
      halfSteps[k] = arithmetic === "i8" ? floats[sums]! / 2 : 0;
    }
    squares += floats[at.squares + group]!;
  }
  const lifted = Array.from({ length: columns / 32 }, (_, group) => floats[at.sums(group)]!);
  const sums = Array.from({ length: columns / 32 }, (_, group) => floats[at.sums(group) + 1]!);
  return { values, halfSteps, squares, lifted, sums };
}
