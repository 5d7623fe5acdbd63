/** Float64 references, written as the formulas. */

export interface Heads {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly context: number;
}

/** The angle of pair i at a position, as the formula: position / factor · theta^(-2i / headDim). */
export function ropeAngle(
  position: number,
  i: number,
  headDim: number,
  theta: number,
  factor: number,
): number {
  return (position / factor) * theta ** ((-2 * i) / headDim);
}

/** rotate_half of one head: pairs (i, i + headDim / 2), each turned by its angle. */
export function rotateOracle(x: ArrayLike<number>, angles: readonly number[]): Float64Array {
  const half = angles.length;
  const y = new Float64Array(2 * half);
  for (const [i, angle] of angles.entries()) {
    y[i] = x[i]! * Math.cos(angle) - x[i + half]! * Math.sin(angle);
    y[i + half] = x[i + half]! * Math.cos(angle) + x[i]! * Math.sin(angle);
  }
  return y;
}

const isOdd = (n: number): boolean => n > 0 && (n % 2 === 1) !== isOdd(n >> 1);
/** (-1)^popcount(i & j), at 32 i + j. */
const SIGNS = Array.from({ length: 32 * 32 }, (_, at) => (isOdd((at >> 5) & (at % 32)) ? -1 : 1));

/** Each 32 values in turn by the formula: y_i = Σ_j (-1)^popcount(i & j) x_j / √32. */
export function mixOracle(x: ArrayLike<number>): Float64Array {
  const y = new Float64Array(x.length);
  for (let at = 0; at < x.length; at++) {
    const [start, i] = [at - (at % 32), at % 32];
    let sum = 0;
    for (let j = 0; j < 32; j++) sum += SIGNS[32 * i + j]! * x[start + j]!;
    y[at] = sum / Math.sqrt(32);
  }
  return y;
}

/** A head of q or k in the order of its groups: 16 values of the first half and the 16 that they are pairs with, and so on. */
export function groupPairs(x: Float64Array): Float64Array {
  const half = x.length / 2;
  return x.map((_, at) => x[Math.floor(at / 32) * 16 + (at % 16) + (at % 32 < 16 ? 0 : half)]!);
}

/**
 * Causal attention of the queries in the rows of qkv [T, (heads + 2 kvHeads) headDim], the first at `position`, over
 * keys and values [kvHeads, context, headDim] → [T, heads headDim].
 */
export function attentionOracle(
  { heads, kvHeads, headDim, context }: Heads,
  qkv: Float32Array,
  keys: Float32Array,
  values: Float32Array,
  position: number,
): Float64Array {
  const width = (heads + 2 * kvHeads) * headDim;
  const tokens = qkv.length / width;
  const y = new Float64Array(tokens * heads * headDim);
  for (let t = 0; t < tokens; t++) {
    for (let head = 0; head < heads; head++) {
      const cacheHead = Math.floor(head / (heads / kvHeads)) * context;
      const q = qkv.subarray(t * width + head * headDim, t * width + (head + 1) * headDim);
      const scores = Array.from({ length: position + t + 1 }, (_, j) => {
        let dot = 0;
        for (let i = 0; i < headDim; i++) dot += q[i]! * keys[(cacheHead + j) * headDim + i]!;
        return dot / Math.sqrt(headDim);
      });
      const largest = scores.reduce((a, b) => Math.max(a, b));
      const weights = scores.map((score) => Math.exp(score - largest));
      const sum = weights.reduce((a, b) => a + b);
      const out = y.subarray((t * heads + head) * headDim, (t * heads + head + 1) * headDim);
      for (const [j, weight] of weights.entries()) {
        for (let i = 0; i < headDim; i++) {
          out[i] = out[i]! + (weight / sum) * values[(cacheHead + j) * headDim + i]!;
        }
      }
    }
  }
  return y;
}
