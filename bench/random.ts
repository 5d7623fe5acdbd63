import type { Gpu } from "../src/gpu/device.ts";
import { type Part, wholeOf } from "../src/gpu/part.ts";
import type { Matrix } from "../src/kernels/matrix.ts";
import { stacks, type Weights } from "../src/model/weights.ts";
import { packRows } from "../src/quantize/pack.ts";

/** Distinct values that a random buffer repeats: few enough to be quick to make. Caches go by address, not by value. */
export const PATTERN_VALUES = 1 << 20;

export function randomValues(count: number, spread: number): Float32Array {
  return Float32Array.from({ length: count }, () => (Math.random() + Math.random() - 1) * spread);
}

/** Fills a matrix with random weights in its stored format. */
export function fillMatrix(gpu: Gpu, { slabs, format, columns }: Matrix): void {
  const patternRows = Math.max(2, Math.floor(PATTERN_VALUES / columns / 2) * 2);
  const { words, scales } = packRows(format, randomValues(patternRows * columns, columns ** -0.5), columns);
  for (const slab of slabs) {
    fillPart(gpu, slab.weight, words);
    if (slab.scales && scales) fillPart(gpu, slab.scales, scales);
  }
}

/** Fills a part of a buffer with a pattern, over and over. */
export function fillPart(gpu: Gpu, { buffer, offset, size }: Part, pattern: Uint32Array): void {
  for (let at = 0; at < size; at += pattern.byteLength) {
    const words = Math.min(pattern.length, (size - at) / 4);
    gpu.device.queue.writeBuffer(buffer, offset + at, pattern as Uint32Array<ArrayBuffer>, 0, words);
  }
}

/** A buffer of random floats. */
export function randomBuffer(gpu: Gpu, label: string, count: number): GPUBuffer {
  const buffer = gpu.buffer(label, 4 * count);
  fillFloats(gpu, wholeOf(buffer));
  return buffer;
}

function fillFloats(gpu: Gpu, part: Part): void {
  const count = Math.min(part.size / 4, PATTERN_VALUES);
  fillPart(gpu, part, new Uint32Array(randomValues(count, 1).buffer));
}

/** Fills a model with random weights. */
export function fillWeights(gpu: Gpu, weights: Weights): void {
  for (const stack of stacks(weights)) {
    if ("matrix" in stack) fillMatrix(gpu, stack.matrix);
    else fillFloats(gpu, stack.vector);
  }
}
