import { toHalf } from "../../src/f16.ts";
import type { Config } from "../../src/model/config.ts";
import { PATTERN_VALUES, randomValues } from "../random.ts";
import { GGML_TYPES, type GgmlType, writeGgufFile } from "./gguf-file.ts";

/** The types that take as many bits a weight as our q4 does: 4.5. */
export const QUANTISED = ["Q4_K", "Q4_0"] as const satisfies readonly GgmlType[];
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
    const pattern = patterns.get(columns) ?? randomBlocks(type, columns);
    patterns.set(columns, pattern);
    for (let at = 0; at < size; at += pattern.length) yield pattern.subarray(0, size - at);
  });
}

/**
 * A row and more of random bits in the type's blocks, whose half-precision numbers are set: mean 0, and a root mean square
 * of 1 / sqrt(columns).
 */
function randomBlocks(type: Quantised, columns: number): Uint8Array {
  const { weights, bytes } = GGML_TYPES[type];
  const count = columns * Math.ceil(PATTERN_VALUES / columns);
  const blocks = Uint8Array.from({ length: (count / weights) * bytes }, () => Math.random() * 256);
  const view = new DataView(blocks.buffer);
  for (let at = 0; at < blocks.length; at += bytes) SET_HALVES[type](view, at, columns ** -0.5);
  return blocks;
}

/** The mean of a quant of 0 to 15 whose bits are random, and of its square. */
const [MEAN_QUANT, MEAN_SQUARE] = [7.5, 77.5];
/**
 * The root mean square of scale · q - minimum · MEAN_QUANT for a scale and a minimum of 0 to 63, of mean 31.5 and mean
 * square 1333.5, and a quant, all random.
 */
const Q4K_SPREAD = Math.sqrt(1333.5 * MEAN_SQUARE + MEAN_QUANT ** 2 * (1333.5 - 2 * 31.5 ** 2));
/** The root mean square of q - 8. */
const Q4_0_SPREAD = Math.sqrt(MEAN_SQUARE - 16 * MEAN_QUANT + 64);

/** Sets the half-precision numbers of the block that begins at `at`, for weights of a root mean square of `spread`. */
const SET_HALVES: Record<Quantised, (block: DataView, at: number, spread: number) => void> = {
  /** w = d (q - 8), of mean -d / 2: d of either sign makes it 0. After d as f16 come 16 bytes of quants (`block_q4_0`). */
  Q4_0(block, at, spread) {
    block.setUint16(at, toHalf(((Math.random() < 0.5 ? -1 : 1) * spread) / Q4_0_SPREAD), true);
  },
  /**
   * w = d · scale · q - dmin · minimum, of mean 0 with dmin at MEAN_QUANT times d. After d and dmin as f16 come 12 bytes of
   * scales and minima in six bits, one each for 32 weights, and 128 of quants (`block_q4_K` of ggml-common.h).
   */
  Q4_K(block, at, spread) {
    block.setUint16(at, toHalf(spread / Q4K_SPREAD), true);
    block.setUint16(at + 2, toHalf((spread / Q4K_SPREAD) * MEAN_QUANT), true);
  },
};
