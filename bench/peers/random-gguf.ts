import { toHalf } from "../../src/f16.ts";
import type { Config } from "../../src/model/config.ts";
import { packRows } from "../../src/quantize/pack.ts";
import { PATTERN_VALUES, randomValues } from "../random.ts";
import { GGML_TYPES, type GgmlType, writeGgufFile } from "./gguf-file.ts";

/** The types that take as many bits a weight as our q4 does: 4.5. */
export const QUANTISED = ["Q4_0", "Q4_K"] as const satisfies readonly GgmlType[];
export type Quantised = (typeof QUANTISED)[number];

/**
 * Writes a model of random weights, every matrix as `type`: as bench/random.ts fills ours, a pattern that repeats. Values
 * are finite and of the order of the square root of 1 / columns, as trained ones are.
 * @throws Error when the columns of a matrix are no whole blocks of the type.
 */
export async function writeRandomGguf(path: string, config: Config, type: Quantised): Promise<void> {
  const patterns = new Map<number, Uint8Array>();
  await writeGgufFile(path, config, type, function* ({ shape, type: stored }) {
    const columns = shape.at(-1)!;
    const { weights, bytes } = GGML_TYPES[stored];
    const size = (shape.reduce((a, b) => a * b) / weights) * bytes;
    if (stored === "F32") {
      yield new Uint8Array(randomValues(columns, 1).buffer);
      return;
    }
    const pattern = patterns.get(columns) ?? BLOCKS[type](columns);
    patterns.set(columns, pattern);
    for (let at = 0; at < size; at += pattern.length) yield pattern.subarray(0, size - at);
  });
}

/** Blocks of at least one row of `columns`, whole ones. */
const BLOCKS: Record<Quantised, (columns: number) => Uint8Array> = {
  Q4_0(columns) {
    const rows = 2 * Math.ceil(PATTERN_VALUES / columns / 2);
    const { words, scales } = packRows("q4", randomValues(rows * columns, columns ** -0.5), columns);
    return q4ToBlocks(words, scales!);
  },
  Q4_K(columns) {
    return randomQ4K(columns * Math.ceil(PATTERN_VALUES / columns), columns ** -0.5);
  },
};

/**
 * Our q4 as ggml's Q4_0, the same values: w = d (q - 8), d first as f16, then 16 bytes, of which byte j has weight j of
 * the block in its low nibble and weight 16 + j in its high one (`block_q4_0` of ggml-common.h).
 * @param words as src/stored.ts lays them out, four a group.
 * @param scales two f16 a word, one a group.
 */
export function q4ToBlocks(words: Uint32Array, scales: Uint32Array): Uint8Array {
  const groups = words.length / 4;
  const { bytes } = GGML_TYPES.Q4_0;
  const blocks = new Uint8Array(groups * bytes);
  const packed = new Uint8Array(words.buffer, words.byteOffset, words.byteLength);
  const halves = new Uint8Array(scales.buffer, scales.byteOffset, scales.byteLength);
  /** Weight i of a group: word i / 8, byte i % 4, the high nibble from i % 8 = 4 on. */
  const quant = (group: number, i: number) => (packed[16 * group + 4 * (i >> 3) + (i & 3)]! >> (i & 4)) & 15;
  for (let group = 0; group < groups; group++) {
    const at = group * bytes;
    blocks.set(halves.subarray(2 * group, 2 * group + 2), at);
    for (let j = 0; j < 16; j++) blocks[at + 2 + j] = quant(group, j) | (quant(group, 16 + j) << 4);
  }
  return blocks;
}

/** The mean of a quant of 0 to 15 whose bits are random. */
const MEAN_QUANT = 7.5;
/**
 * The root mean square of scale · q - minimum · MEAN_QUANT for a scale and a minimum of 0 to 63 and a quant, all random:
 * E[scale² q²] + MEAN_QUANT² (E[minimum²] - 2 E[scale] E[minimum]) = 1333.5 · 77.5 + 56.25 · (1333.5 - 2 · 992.25).
 */
const Q4K_SPREAD = Math.sqrt(1333.5 * 77.5 + MEAN_QUANT ** 2 * (1333.5 - 2 * 992.25));

/**
 * Q4_K with random bits: w = d · scale · q - dmin · minimum, with d and dmin as f16 first, then 12 bytes of a scale and a
 * minimum in six bits for each 32 weights, then 128 bytes of quants (`block_q4_K` of ggml-common.h). With dmin at
 * MEAN_QUANT times d the mean is zero.
 * @param count weights, whole blocks of 256.
 * @param spread the root mean square of the weights.
 */
function randomQ4K(count: number, spread: number): Uint8Array {
  const { weights, bytes } = GGML_TYPES.Q4_K;
  const blocks = Uint8Array.from({ length: (count / weights) * bytes }, () => Math.random() * 256);
  const d = spread / Q4K_SPREAD;
  const view = new DataView(blocks.buffer);
  for (let at = 0; at < blocks.length; at += bytes) {
    view.setUint16(at, toHalf(d), true);
    view.setUint16(at + 2, toHalf(d * MEAN_QUANT), true);
  }
  return blocks;
}
