import type { Bound } from "../../gpu/kernel.ts";
import { ATTENTION } from "../../kernels/attention.ts";
import {
  ATTENTION_MERGE,
  ATTENTION_SPLIT,
  ATTENTION_WHOLE,
  SPLIT_POSITIONS,
} from "../../kernels/attention-split.ts";
import { type AttentionShape, isMixed } from "../../kernels/cache.ts";
import { MIX } from "../../kernels/mix.ts";
import { ROPE } from "../../kernels/rope.ts";
import { dot, mixed, repeatedNoise, sizeOf, Worst } from "./numbers.ts";
import { anglesAt, appended, stayed, turned } from "./rope.ts";
import type { Stage } from "./stage.ts";
import { allowedFor, F32 } from "./tolerance.ts";
import { type Check, check, floats } from "./trial.ts";
import { vector } from "./vectors.ts";

/** Of queries: with keys within -1 and 1 scores are a few apart. */
const QUERY_SIZE = 6;
/** Rows of a pass whose keys and values are looked at: each is copied head by head. */
const CACHED_ROWS = 4;

/** Of a head and some of its positions: log Σ exp(score), and the weighted mean of their values. */
interface Share {
  readonly mass: number;
  readonly mean: Float64Array;
}

/** The positions of a sequence, from `first` to before `end`, that a head looks at. */
interface Seen {
  readonly head: number;
  readonly sequence: number;
  readonly first: number;
  readonly end: number;
}

/** Attention over noise in the cache: what a query makes of the positions that its head sees. */
function attentionOver(
  shape: AttentionShape,
  stage: Stage,
  buffers: { readonly keys: Bound; readonly values: Bound },
): (query: ArrayLike<number>, seen: Seen) => Share {
  const { heads, kvHeads, headDim } = shape;
  const [keys, values] = [stage.cacheOf(shape, buffers.keys), stage.cacheOf(shape, buffers.values)];
  return (query, { head, sequence, first, end }) => {
    const cacheHead = Math.floor(head / (heads / kvHeads));
    // Rows of noise repeat: each distinct one counts as often as it is there.
    const weights = new Float64Array(keys.rows.length);
    for (let p = first; p < end; p++) weights[keys.indexOf(cacheHead, stage.scene.placeOf(sequence, p))]!++;
    let total = 0;
    const mean = new Float64Array(headDim);
    for (const [i, count] of weights.entries()) {
      if (count === 0) continue;
      const weight = count * Math.exp(dot(query, keys.rows[i]!) / Math.sqrt(headDim));
      total += weight;
      for (let k = 0; k < headDim; k++) mean[k]! += weight * values.rows[i]![k]!;
    }
    return { mass: Math.log(total), mean: mean.map((sum) => sum / total) };
  };
}

/** What splits left, [heads, splits, headDim + 4]: sums of values, then the largest score and the sum of weights. */
function sharesError(words: Uint32Array, headDim: number, wanted: readonly (readonly Share[])[]): number {
  const got = new Float32Array(words.slice().buffer);
  const worst = new Worst();
  let at = 0;
  for (const shares of wanted) {
    const most = Math.max(...shares.map(({ mass }) => mass));
    for (const { mass, mean } of shares) {
      const sums = got.subarray(at, at + headDim);
      const [largest, total] = [got[at + headDim]!, got[at + headDim + 1]!];
      const weight = Math.exp(largest - most);
      // What weighs nothing may be anything that stays nothing.
      if (mass === Number.NEGATIVE_INFINITY) {
        for (const value of [total, ...sums]) worst.note(weight * value, 0, 1);
      } else {
        worst.note(largest + Math.log(total), mass, 1);
        const size = sizeOf(mean);
        for (let k = 0; k < headDim; k++) worst.note(sums[k]! / total, mean[k]!, size);
      }
      at += headDim + 4;
    }
  }
  return worst.error;
}

/** Attention, and what turns queries and keys and fills the cache. */
export const ATTENTION_CHECKS: readonly Check[] = [
  check(
    ROPE,
    (shape, { rows }, stage) => {
      const { heads, kvHeads, headDim } = shape;
      const { scene } = stage;
      const count = stage.countOf(rows);
      const width = (heads + 2 * kvHeads) * headDim;
      const qkv = repeatedNoise(count * width, 7);
      const head = (t: number, h: number) =>
        Float64Array.from(qkv.subarray(t * width + h * headDim, t * width + (h + 1) * headDim));
      const angles = scene.rows.map(({ position }) => anglesAt(shape, stage.config, position));
      const rotated = (t: number, h: number) => turned(shape, head(t, h), angles[t]!);
      const all = (headOf: (h: number) => Float64Array) =>
        Float64Array.from(Array.from({ length: kvHeads }, (_, h) => [...headOf(h)]).flat());
      const wanted = Float64Array.from(qkv);
      for (let t = 0; t < count; t++) {
        for (let h = 0; h < heads; h++) wanted.set(rotated(t, h), t * width + h * headDim);
      }
      const some = [...new Set([...scene.drawn, count - 1])].filter((t) => t < count).slice(0, CACHED_ROWS);
      return {
        inputs: {},
        outputs: {
          qkv: floats(wanted, qkv),
          keys: appended(shape, scene, some, (t) => all((h) => rotated(t, heads + h))),
          values: appended(shape, scene, some, (t) =>
            all((h) => stayed(shape, head(t, heads + kvHeads + h))),
          ),
        },
        allowed: F32,
      };
    },
    { writesCache: true },
  ),
  check(ATTENTION, (shape, buffers, stage, way) => {
    const { heads, kvHeads, headDim } = shape;
    const count = stage.countOf(buffers.rows);
    const width = (heads + 2 * kvHeads) * headDim;
    const qkv = repeatedNoise(count * width, 8, QUERY_SIZE);
    const attend = attentionOver(shape, stage, buffers);
    const wanted = new Float64Array(count * heads * headDim);
    for (let t = 0; t < count; t++) {
      const { sequence, position } = stage.scene.rows[t]!;
      for (let head = 0; head < heads; head++) {
        const query = qkv.subarray(t * width + head * headDim, t * width + (head + 1) * headDim);
        const seen = { head, sequence, first: 0, end: position + 1 };
        wanted.set(attend(query, seen).mean, (t * heads + head) * headDim);
      }
    }
    return { inputs: { qkv }, outputs: { y: floats(wanted) }, allowed: allowedFor(way) };
  }),
  check(MIX, ({ width }, { rows }, stage) => {
    const y = repeatedNoise(stage.countOf(rows) * width, 9);
    return { inputs: {}, outputs: { y: floats(mixed(Float64Array.from(y)), y) }, allowed: F32 };
  }),
  check(ATTENTION_SPLIT, (shape, buffers, stage) => {
    const { heads, headDim, splits } = shape;
    const { sequence, position } = stage.scene.rows[0]!;
    const q = repeatedNoise(heads * headDim, 8, QUERY_SIZE);
    const attend = attentionOver(shape, stage, buffers);
    const wanted = Array.from({ length: heads }, (_, head) =>
      Array.from({ length: splits }, (_, split) =>
        attend(q.subarray(head * headDim, (head + 1) * headDim), {
          head,
          sequence,
          first: split * SPLIT_POSITIONS,
          end: Math.min(position + 1, (split + 1) * SPLIT_POSITIONS),
        }),
      ),
    );
    const parts = {
      slices: [{ from: 0, bytes: 4 * heads * splits * (headDim + 4) }],
      isWhole: true,
      error: (words: Uint32Array) => sharesError(words, headDim, wanted),
    };
    return { inputs: { q }, outputs: { parts }, allowed: F32 };
  }),
  check(ATTENTION_MERGE, ({ heads, headDim, splits, cache, arithmetic }) => {
    const stride = headDim + 4;
    const shares = repeatedNoise(heads * splits * stride, 10);
    const wanted = new Float64Array(heads * headDim);
    for (let head = 0; head < heads; head++) {
      let total = 0;
      for (let split = 0; split < splits; split++) {
        const at = (head * splits + split) * stride;
        shares[at + headDim + 1] = 2 + shares[at + headDim + 1]!; // a sum of weights is above 0
        const weight = Math.exp(shares[at + headDim]!);
        total += weight * shares[at + headDim + 1]!;
        for (let k = 0; k < headDim; k++) wanted[head * headDim + k]! += weight * shares[at + k]!;
      }
      for (let k = 0; k < headDim; k++) wanted[head * headDim + k]! /= total;
    }
    const values = isMixed(cache) ? mixed(wanted) : wanted;
    return { inputs: { shares }, outputs: { stored: vector(arithmetic, { values }) }, allowed: F32 };
  }),
  check(ATTENTION_WHOLE, (shape, buffers, stage) => {
    const { heads, headDim, cache, arithmetic } = shape;
    const { sequence, position } = stage.scene.rows[0]!;
    const q = repeatedNoise(heads * headDim, 8, QUERY_SIZE);
    const attend = attentionOver(shape, stage, buffers);
    const wanted = new Float64Array(heads * headDim);
    for (let head = 0; head < heads; head++) {
      const query = q.subarray(head * headDim, (head + 1) * headDim);
      const seen = { head, sequence, first: 0, end: position + 1 };
      wanted.set(attend(query, seen).mean, head * headDim);
    }
    const values = isMixed(cache) ? mixed(wanted) : wanted;
    return { inputs: { q }, outputs: { stored: vector(arithmetic, { values }) }, allowed: F32 };
  }),
];
