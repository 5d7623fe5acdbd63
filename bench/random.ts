import type { Gpu } from "../src/kernels/device.ts";
import { allocateMatrix, type Matrix, type StoredFormat } from "../src/kernels/matrix.ts";
import type { Config } from "../src/model/config.ts";
import type { Weights } from "../src/model/weights.ts";
import { packRows } from "../src/quantize/pack.ts";

/** Distinct rows that a random matrix repeats: enough that no cache holds them all, few enough to be quick to make. */
const PATTERN_VALUES = 1 << 20;

function randomValues(count: number, spread: number): Float32Array {
  return Float32Array.from({ length: count }, () => (Math.random() + Math.random() - 1) * spread);
}

/** A matrix of random weights in a stored format. */
export function randomMatrix(
  gpu: Gpu,
  label: string,
  format: StoredFormat,
  rows: number,
  columns: number,
): Matrix {
  const matrix = allocateMatrix(gpu, label, format, rows, columns);
  const patternRows = Math.max(2, Math.floor(PATTERN_VALUES / columns / 2) * 2);
  const { words, scales } = packRows(format, randomValues(patternRows * columns, columns ** -0.5), columns);
  for (const slab of matrix.slabs) {
    fill(gpu, slab.weight, words);
    if (slab.scales && scales) fill(gpu, slab.scales, scales);
  }
  return matrix;
}

function fill(gpu: Gpu, buffer: GPUBuffer, pattern: Uint32Array): void {
  for (let at = 0; at < buffer.size; at += pattern.byteLength) {
    const words = Math.min(pattern.length, (buffer.size - at) / 4);
    gpu.device.queue.writeBuffer(buffer, at, pattern as Uint32Array<ArrayBuffer>, 0, words);
  }
}

/** A buffer of random floats. */
export function randomBuffer(gpu: Gpu, label: string, count: number): GPUBuffer {
  const buffer = gpu.buffer(label, 4 * count);
  fill(gpu, buffer, new Uint32Array(randomValues(Math.min(count, PATTERN_VALUES), 1).buffer));
  return buffer;
}

/** A whole model of random weights. */
export function randomWeights(gpu: Gpu, config: Config, format: StoredFormat): Weights {
  const { hidden_size: dim, intermediate_size: hidden, vocab_size: vocab, head_dim: headDim } = config;
  const [heads, kvHeads] = [config.num_attention_heads, config.num_key_value_heads];
  const matrix = (label: string, rows: number, columns: number) =>
    randomMatrix(gpu, label, format, rows, columns);
  return {
    embed: matrix("embed_tokens", vocab, dim),
    layers: Array.from({ length: config.num_hidden_layers }, (_, l) => ({
      inputNorm: randomBuffer(gpu, "norm", dim),
      qkv: matrix(`layer ${l} qkv`, (heads + 2 * kvHeads) * headDim, dim),
      out: matrix(`layer ${l} out`, dim, heads * headDim),
      postAttentionNorm: randomBuffer(gpu, "norm", dim),
      gateUp: matrix(`layer ${l} gate and up`, 2 * hidden, dim),
      down: matrix(`layer ${l} down`, dim, hidden),
    })),
    norm: randomBuffer(gpu, "norm", dim),
    head: matrix("lm_head", vocab, dim),
  };
}
