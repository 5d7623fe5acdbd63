import { LogitsError } from "../errors.ts";
import { type Penalties, penaltyFactors } from "../kernels/penalise.ts";
import { type DrawOptions, drawIndex, drawSettings } from "../kernels/sample.ts";
import { type Candidates, MAX_CANDIDATES, type Want } from "../model/language-model.ts";
import type { Sampling } from "./options.ts";
import { uniform } from "./random.ts";

export interface Sampler {
  /** The least that `sample` needs of the logits; asking for more gives the same tokens. */
  readonly want: Want;
  /** Whether the model can choose what `sample` would: the best token or one by `draws`, after `penalties`. */
  readonly runsAhead: boolean;
  readonly draws: DrawOptions | undefined;
  readonly penalties: Penalties | undefined;
  /** Whether `sample` looks at `seen`. */
  readonly usesSeen: boolean;
  /**
   * Chooses the next token.
   * @param candidates In id order, or best first with ties by rising id.
   * @param seen Every id of the prompt and of the answer so far.
   * @throws LogitsError when a logit is NaN or infinite, or all are -Infinity.
   */
  sample(candidates: Candidates, seen: ReadonlySet<number>): number;
  /** The token that the model drew by itself, in place of a call of `sample`; throws as that does. */
  accept(drawn: Candidates): number;
}

/**
 * Makes the sampler for one answer. The order is that of transformers' `generate()`: repetition penalty, temperature,
 * top_k, top_p, min_p, softmax, draw. Equal logits rank by rising id, also at the edge of top_k, where transformers
 * keeps all the equal ones.
 */
export function makeSampler(sampling: Sampling): Sampler {
  const { temperature, top_k, repetition_penalty: penalty, seed, suppress_tokens: suppressed } = sampling;
  const greedy = temperature === 0;
  const usesSeen = penalty !== 1;
  const penalties = usesSeen || suppressed ? sampling : undefined;
  const least = wantOf(sampling);
  const settings = least === "candidates" ? drawSettings(sampling) : undefined;
  let draws = 0;
  return {
    // Penalties are for all logits.
    want: penalties ? "logits" : least,
    runsAhead: least !== "logits",
    draws: settings && sampling,
    penalties,
    usesSeen,
    sample(all, seen) {
      const candidates = suppressed ? without(all, suppressed) : all;
      const scores = usesSeen ? penalise(candidates, seen, penalty) : candidates.logits;
      const best = indexOfBest(scores, candidates.ids);
      if (greedy) return candidates.ids[best]!;
      const kept = rank(scores, top_k === 0 ? scores.length : top_k);
      const position = uniform(seed, draws++);
      const index = settings
        ? drawIndex(scores, kept, settings, Math.floor(position * 2 ** 32))
        : draw(kept, scores, sampling, position);
      return candidates.ids[kept[index]!]!;
    },
    accept({ ids, logits }) {
      draws++;
      return ids[indexOfBest(logits, ids)]!;
    },
  };
}

/** What is needed of logits that are penalised already; what the kernels do not do by themselves needs all. */
function wantOf(sampling: Sampling): Want {
  const { temperature, top_k } = sampling;
  if (temperature === 0) return "argmax";
  return top_k > 0 && top_k <= MAX_CANDIDATES ? "candidates" : "logits";
}

/** The candidates that may be chosen. */
function without({ ids, logits }: Candidates, suppressed: ReadonlySet<number>): Candidates {
  const allowed = (_: number, i: number) => !suppressed.has(ids[i]!);
  return { ids: ids.filter(allowed), logits: logits.filter(allowed) };
}

/** The logits, those of seen tokens made less likely: in float32, to the bit what penalise.wgsl does. */
function penalise({ ids, logits }: Candidates, seen: ReadonlySet<number>, penalty: number): Float32Array {
  const [grow, shrink] = penaltyFactors(penalty);
  return logits.map((logit, i) => (seen.has(ids[i]!) ? logit * (logit < 0 ? grow! : shrink!) : logit));
}

/** The first index of the largest score; checks every score on the way. */
export function indexOfBest(scores: Float32Array, ids: Uint32Array): number {
  let best = 0;
  for (let i = 0; i < scores.length; i++) {
    const score = scores[i]!;
    if (!(score < Infinity)) {
      throw new LogitsError(
        `The logit of token ${ids[i]} is ${score}; wanted a finite number. The weights or the GPU's arithmetic are damaged, or a key or value is above what a cache narrower than f32 holds, 65504 as f16: try cache "f32" (--kv f32).`,
      );
    }
    if (score > scores[best]!) best = i;
  }
  if (!(scores[best]! > -Infinity)) {
    throw new LogitsError(`Of ${scores.length} logits none is a finite number; there is no token to choose.`);
  }
  return best;
}

/** A score's sort key has its upper bits in common with those of about as large scores. */
const BUCKET_BITS = 12;
const INDEX_SPAN = 2 ** 21;

/**
 * Indices of the `count` highest scores by falling score, equal scores by rising index. A score's bits and its index
 * together make one integer below 2^53, so that a typed array sorts them without a comparison function; and only those
 * are sorted that share a bucket with one of the highest: of 39,410 scores, a token takes 7 ms among all and 1 ms among
 * the best 50.
 */
function rank(scores: Float32Array, count: number): Uint32Array {
  const words = new Uint32Array(scores.length);
  const buckets = new Uint32Array(2 ** BUCKET_BITS);
  // Adding zero turns -0 into 0, which has other bits but is no smaller.
  const bits = new Uint32Array(scores.map((score) => score + 0).buffer);
  for (let i = 0; i < words.length; i++) {
    const word = bits[i]!;
    // Bits of negative numbers rise as the number falls, those of the others the other way round.
    words[i] = word & 0x80000000 ? word : ~word & 0x7fffffff;
    buckets[words[i]! >>> (32 - BUCKET_BITS)]! += 1;
  }
  let last = 0;
  for (let reached = buckets[0]!; reached < count && last < buckets.length - 1; ) reached += buckets[++last]!;
  const keys = new Float64Array(words.length);
  let length = 0;
  for (let i = 0; i < words.length; i++) {
    if (words[i]! >>> (32 - BUCKET_BITS) <= last) keys[length++] = words[i]! * INDEX_SPAN + i;
  }
  const sorted = keys.subarray(0, length).sort();
  const order = new Uint32Array(Math.min(count, length));
  for (let i = 0; i < order.length; i++) order[i] = sorted[i]! % INDEX_SPAN;
  return order;
}

/** Where in `kept` (best first) the draw falls; `position` in [0, 1). Float64 throughout: for more than drawIndex() takes. */
function draw(kept: Uint32Array, scores: Float32Array, sampling: Sampling, position: number): number {
  const { temperature, top_p: topP, min_p: minP } = sampling;
  const highest = scores[kept[0]!]!;
  // Weights against the likeliest token's 1: probabilities but for the sum.
  const weights = new Float64Array(kept.length);
  for (let i = 0; i < kept.length; i++) weights[i] = Math.exp((scores[kept[i]!]! - highest) / temperature);
  let count = weights.length;
  if (topP < 1) count = nucleus(weights, topP);
  if (minP > 0) {
    const tooSmall = weights.findIndex((weight) => weight < minP);
    if (tooSmall >= 0) count = Math.min(count, tooSmall);
  }
  let total = 0;
  for (let i = 0; i < count; i++) total += weights[i]!;
  const target = position * total;
  let sum = 0;
  for (let i = 0; i < count; i++) {
    sum += weights[i]!;
    if (sum > target) return i;
  }
  // The same additions gave `total`, and `position` is below 1: only rounding of the product comes here.
  return count - 1;
}

/**
 * How many of the falling weights top_p keeps. As transformers has it: summing probabilities from the smallest up,
 * those whose sum does not exceed 1 - top_p go, and the likeliest always stays.
 */
function nucleus(weights: Float64Array, topP: number): number {
  const total = weights.reduceRight((sum, weight) => sum + weight, 0);
  let count = weights.length;
  for (let sum = 0; count > 1; count--) {
    sum += weights[count - 1]! / total;
    if (sum > 1 - topP) break;
  }
  return count;
}
