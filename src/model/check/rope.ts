import { type AttentionShape, cacheSlices, isMixed, packedBytes } from "../../kernels/cache.ts";
import { ropeTable } from "../../kernels/rope.ts";
import type { Config } from "../config.ts";
import { mixed, sizeOf, Worst } from "./numbers.ts";
import type { Scene } from "./scene.ts";
import { codesOf, unpackCache } from "./stage.ts";
import type { Output } from "./trial.ts";

/** A half beside a number, whichever of the two an adapter takes, and the least half. */
const [HALF, LEAST_HALF] = [2 ** -10, 2 ** -24];

/** cos and sin of the angles of a position, as ropeTable() has them. */
export function anglesAt({ headDim }: AttentionShape, config: Config, position: number): Float32Array {
  return ropeTable(headDim, 1, config.rope_theta, config.rope_factor, position);
}

/** A head of q or k turned by angles, pairs (i, i + headDim / 2), as kernels leave it: mixed where the cache is. */
export function turned(shape: AttentionShape, x: Float64Array, table: Float32Array): Float64Array {
  const half = x.length / 2;
  const y = new Float64Array(x.length);
  for (let i = 0; i < half; i++) {
    const [cosine, sine] = [table[2 * i]!, table[2 * i + 1]!];
    y[i] = x[i]! * cosine - x[i + half]! * sine;
    y[i + half] = x[i + half]! * cosine + x[i]! * sine;
  }
  if (!isMixed(shape.cache)) return y;
  // A group has 16 of the first half and the 16 that they are pairs with.
  return mixed(y.map((_, at) => y[(at >> 5) * 16 + (at % 16) + (at % 32 < 16 ? 0 : half)]!));
}

/** A head of v as kernels leave it. */
export function stayed({ cache }: AttentionShape, x: Float64Array): Float64Array {
  return isMixed(cache) ? mixed(x) : x;
}

/**
 * What is appended to keys or values, of some rows of a scene, and nothing behind the last of each sequence.
 * @param wantedOf What stands for a row: [kvHeads, headDim].
 */
export function appended(
  shape: AttentionShape,
  scene: Scene,
  some: readonly number[],
  wantedOf: (t: number) => Float64Array,
): Output {
  const own = { first: 0, count: 1, positions: 1 };
  const slicesAt = (place: number) =>
    cacheSlices(shape, place, own).map(({ cached, bytes }) => ({ from: cached, bytes }));
  const taken = new Set(scene.rows.map(({ place }) => place));
  const behind = scene.rows.flatMap(({ sequence, position }) => {
    if (position + 1 >= shape.context) return [];
    const place = scene.placeOf(sequence, position + 1);
    return taken.has(place) ? [] : [place];
  });
  const words = packedBytes(shape, 1) / 4;
  return {
    slices: [...some.map((t) => scene.rows[t]!.place), ...behind].flatMap(slicesAt),
    isWhole: false,
    error: (got) => {
      const worst = new Worst();
      for (const [i, t] of some.entries()) {
        noteCached(worst, shape, got.subarray(i * words, (i + 1) * words), wantedOf(t));
      }
      for (const word of got.subarray(some.length * words)) worst.note(word, 0, Number.MIN_VALUE);
      return worst.error;
    },
  };
}

/**
 * Numbers as a cache has them: within its rounding.
 * @param times How often that may have been: twice where what is wanted was read from a cache too.
 */
export function noteCached(
  worst: Worst,
  { cache }: AttentionShape,
  words: Uint32Array,
  wanted: Float64Array,
  times = 1,
): void {
  const got = unpackCache(cache, words, wanted.length);
  const size = sizeOf(wanted);
  const largest = isMixed(cache) ? codesOf(cache).largest : 0;
  const roundingOf = (k: number) => {
    if (cache === "f32") return 0;
    if (!isMixed(cache)) return HALF * Math.abs(wanted[k]!) + LEAST_HALF;
    const own = wanted.subarray(k - (k % 32), k - (k % 32) + 32);
    const [least, most] = [Math.min(...own), Math.max(...own)];
    // Half a step, whose ends are as near as the nearest halves.
    return (most - least) / 2 / largest + HALF * (Math.max(Math.abs(least), Math.abs(most)) + most - least);
  };
  let rounding = 0;
  for (let k = 0; k < wanted.length; k++) {
    if (largest === 0 || k % 32 === 0) rounding = times * roundingOf(k);
    worst.note(got[k]!, wanted[k]!, size, rounding);
  }
}
