import { randomFloats } from "./random.ts";

/** One limit for many cases, since each compiles a pipeline. */
const MANY = 20_000;

const many = (logit: (id: number) => number) => Float32Array.from({ length: MANY }, (_, id) => logit(id));

/** Logits that a selection may stumble over: each with its vocabulary and the limit above which ids are masked. */
export const LOGITS: readonly (readonly [name: string, limit: number, logits: Float32Array])[] = [
  ["one", 1, Float32Array.of(-3, 5)],
  ["fewer than a subgroup", 3, Float32Array.of(-1, -2, -0.5, 9)],
  ["fewer than 64", 63, randomFloats(70, 1)],
  ["64", 64, randomFloats(64, 2)],
  ["fewer than the lanes", 201, randomFloats(300, 3)],
  ["an odd number", 1237, randomFloats(1300, 4)],
  ["the width of Ziya", 39410, masked(randomFloats(39424, 5), 39410)],
  ["160,000", 159_999, randomFloats(160_000, 6)],
  ["all equal", MANY, many(() => -7)],
  ["all -infinity", MANY, many(() => Number.NEGATIVE_INFINITY)],
  ["few values, so that most tie", MANY, randomFloats(MANY, 7).map((v) => Math.round(v))],
  ["both zeros", MANY, many((i) => (i % 3 === 0 ? -0 : i % 3 === 1 ? 0 : -1))],
  ["infinity twice", MANY, many((i) => (i === 77 || i === 5077 ? Number.POSITIVE_INFINITY : i))],
  ["rising", MANY, many((i) => i / 7)],
  ["falling", MANY, many((i) => -i / 7)],
  ["the best all in a few lanes", MANY, many((i) => (256 - (i % 256)) * 1000 + i / 256)],
  ["tiny and huge", 3, Float32Array.of(1e-38, 3e38, -3e38)],
];

/** Logits with NaN of either sign at ids 300 and 700, and past the limit, where it does not count. */
export const NAN_LOGITS = ((logits) => {
  const bits = new Uint32Array(logits.buffer);
  bits[300] = 0xffc00001;
  bits[700] = 0x7f800001;
  return logits;
})(randomFloats(1000, 8));

/** The rows above the limit are untrained: here they would win. */
function masked(logits: Float32Array, limit: number): Float32Array {
  return logits.fill(1000, limit);
}
