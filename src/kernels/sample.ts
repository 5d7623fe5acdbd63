import { nextRowConstants, type PagesShape } from "./advance.ts";
import { TOP_K } from "./topk.ts";
import type { Operation } from "./way.ts";

/** How a token is drawn from the best candidates: of the options of an answer, those that the kernel has. */
export interface DrawOptions {
  /** Above 0. */
  readonly temperature: number;
  /** From 1 to TOP_K. */
  readonly top_k: number;
  readonly top_p: number;
  readonly min_p: number;
  /** From 0 to 2^53 - 1. */
  readonly seed: number;
}

/** Words of the settings of a draw. */
export const SETTINGS = 8;

/** A weight of 1, that of the likeliest: 64 of them are below 2^32. */
const ONE = 2 ** 25;
const WORD = 2 ** 32;
/** ln 2 in 2^-32. */
const LN2 = 2977044472;

/**
 * As ADVANCE, the tokens drawn of what TOP leaves: best [drawn, 2 · TOP_K]; where the largest is no finite number, that one. settings
 * [drawn, SETTINGS] u32: see drawSettings(); the positions of the rows count the draws.
 */
export const SAMPLE: Operation<
  PagesShape & { readonly drawn: number },
  "best" | "settings" | "chosen" | "rows" | "pages"
> = {
  name: "sample",
  bindings: () => ["best", "settings", "chosen", "rows", "pages"],
  ways: [
    {
      name: "integer",
      needs: [],
      files: () => ["pages", "next_row", "sample"],
      constants: (shape) => ({ ...nextRowConstants(shape), K: TOP_K, LN2 }),
      grid: ({ drawn }) => [drawn],
    },
  ],
};

/**
 * The settings as sample.wgsl takes them.
 * @param origin The position of the row that makes the seed's draw 0: negative where that was before the sequence.
 */
export function drawSettings(
  { temperature, top_k, top_p, min_p, seed }: DrawOptions,
  origin = 0,
): Uint32Array<ArrayBuffer> {
  const inverse = Math.min(Math.LOG2E / temperature, 2 ** 127);
  const [bits] = new Uint32Array(Float32Array.of(inverse).buffer);
  const dropped = Math.min(Math.floor((1 - top_p) * WORD), WORD - 1);
  return Uint32Array.of(bits!, top_k, dropped, Math.ceil(min_p * ONE), seed, seed / WORD, origin, 0);
}

/**
 * Which of `kept`, indices of finite logits, best first, is drawn at `position`: to the bit what sample.wgsl does, in the
 * same integers. A weight is within 2^-24 of exp((logit - best) / temperature), and below 2^-25 none; the sums are exact.
 * @param position From 0 to 2^32 - 1, of 2^32.
 */
export function drawIndex(
  logits: Float32Array,
  kept: Uint32Array,
  settings: Uint32Array,
  position: number,
): number {
  const [inverse = 0, , dropped = 0, least = 0] = settings;
  const best = logits[kept[0]!]!;
  // Adding zero turns -0 into 0.
  const bits = new Uint32Array(Float32Array.from(kept, (index) => best - logits[index]! + 0).buffer);
  const weights = bits.map((distance) => weightOf(distance, inverse));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const bound = multiplyHigh(dropped, total);
  let count = weights.length;
  let tail = 0;
  // top_p: from the smallest up, those whose sum does not exceed what is dropped go.
  while (count > 1 && tail + weights[count - 1]! <= bound) tail += weights[--count]!;
  while (count > 1 && weights[count - 1]! < least) tail += weights[--count]!;
  const drawn = multiplyHigh(position, total - tail);
  let chosen = 0;
  for (let sum = weights[0]!; sum <= drawn && chosen + 1 < count; sum += weights[chosen]!) chosen++;
  return chosen;
}

/** 2^-y in 2^-25, where y = distance · inverse, both the bits of f32 that are no less than 0. */
export function weightOf(distance: number, inverse: number): number {
  const exponent = (distance >>> 23) + (inverse >>> 23) - 254;
  if (distance < 0x00800000 || exponent < -25) return ONE;
  if (exponent >= 5) return 0;
  const mantissas = multiplyHigh(((distance << 8) | 0x80000000) >>> 0, ((inverse << 8) | 0x80000000) >>> 0);
  const y = mantissas >>> (6 - exponent);
  if (y >>> 24 > 25) return 0;
  const x = multiplyHigh((y << 8) >>> 0, LN2);
  let power = 0x80000000;
  for (let k = 11; k > 0; k--) power = 0x80000000 - Math.floor(multiplyHigh(x, power) / k);
  return (power >>> 6) >>> (y >>> 24);
}

/** The upper word of the product of two. */
function multiplyHigh(a: number, b: number): number {
  const low = a * (b & 0xffff);
  return Math.floor((a * (b >>> 16) + Math.floor(low / 65536)) / 65536);
}
