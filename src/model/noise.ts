import type { Gpu } from "../gpu/device.ts";
import type { Part } from "../gpu/part.ts";
import type { Matrix } from "../kernels/matrix.ts";
import { packRows } from "../quantize/pack.ts";
import { storedBytes } from "../stored.ts";

/** Of the buffer that others are filled from: so large that few copies fill a matrix. */
const SOURCE_BYTES = 2 ** 18;
/** Distinct rows of a matrix of noise: no divisor of a workgroup's 32, so that rows that are mixed up show. */
const NOISE_ROWS = 5;

/** Noise that is the same in every run: a linear congruential generator's upper bits, in [-1, 1). */
export class Noise {
  private state: number;

  constructor(seed = 1) {
    this.state = seed;
  }

  next(): number {
    this.state = (Math.imul(this.state, 1664525) + 1013904223) | 0;
    return this.state / 2 ** 31;
  }

  /** `count` numbers in [-size, size). */
  take(count: number, size = 1): Float32Array<ArrayBuffer> {
    const values = new Float32Array(count);
    for (let i = 0; i < count; i++) values[i] = size * this.next();
    return values;
  }

  /** Rows of a matrix, of a size that keeps a product about as large as what is multiplied: [rows, columns]. */
  rows(rows: number, columns: number): Float32Array<ArrayBuffer> {
    return this.take(rows * columns, columns ** -0.5);
  }
}

/** Fills the first `bytes` of a part with a pattern, over and over. */
export function fillRepeatedly(
  gpu: Gpu,
  { buffer, offset }: Part,
  pattern: Uint32Array,
  bytes: number,
): void {
  const { device } = gpu;
  const times = Math.ceil(Math.min(SOURCE_BYTES, bytes) / pattern.byteLength);
  const copies = new Uint32Array(times * pattern.length);
  for (let i = 0; i < times; i++) copies.set(pattern, i * pattern.length);
  const source = gpu.buffer("noise", copies.byteLength);
  device.queue.writeBuffer(source, 0, copies);
  const encoder = device.createCommandEncoder({ label: "noise" });
  for (let at = 0; at < bytes; at += copies.byteLength) {
    const count = Math.min(copies.byteLength, bytes - at);
    encoder.copyBufferToBuffer(source, 0, buffer, offset + at, count);
  }
  device.queue.submit([encoder.finish()]);
  source.destroy();
}

/** Fills a matrix with noise in its format, of a size that keeps products near the input's. */
export function fillMatrix(gpu: Gpu, { format, columns, slabs }: Matrix, values: Noise): void {
  const packed = packRows(format, values.rows(NOISE_ROWS, columns), columns);
  const stride = storedBytes(format, 1, columns);
  for (const { weight, scales, rows } of slabs) {
    fillRepeatedly(gpu, weight, packed.words, rows * stride.words);
    if (scales) fillRepeatedly(gpu, scales, packed.scales!, rows * stride.scales);
  }
}

/** Leaves a matrix as empty as it was. */
export function clearMatrix(encoder: GPUCommandEncoder, { slabs }: Matrix): void {
  for (const { weight, scales } of slabs) {
    encoder.clearBuffer(weight.buffer, weight.offset, weight.size);
    if (scales) encoder.clearBuffer(scales.buffer, scales.offset, scales.size);
  }
}
