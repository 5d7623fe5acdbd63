import { expect } from "vitest";
import { fromHalf, toHalf } from "../../src/f16.ts";
import { type CacheFormat, isMixed } from "../../src/kernels/cache.ts";
import { groupPairs, mixOracle } from "../oracle/attention.ts";
import { expectClose } from "./close.ts";

const GROUP = 32;
/** Half a unit of f16's eleven bits, or a whole one: WGSL leaves the direction of rounding to the adapter. */
const HALF = 2 ** -10;

/** The words of a KV cache that holds `values`, as near as its format can; of q8 and q4 the values as they are mixed. */
export function cacheWords(values: Float32Array, format: CacheFormat): Uint32Array {
  if (format === "f32") return new Uint32Array(values.slice().buffer);
  if (format === "f16") {
    const halves = new Uint16Array(values.length);
    for (let i = 0; i < values.length; i++) halves[i] = toHalf(values[i]!);
    return new Uint32Array(halves.buffer);
  }
  const { bits, largest } = codesOf(format);
  const groups = values.length / GROUP;
  const words = new Uint32Array(2 * Math.ceil((groups * (bits + 1)) / 2));
  for (let group = 0; group < groups; group++) {
    let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (let at = GROUP * group; at < GROUP * (group + 1); at++) {
      least = Math.min(least, values[at]!);
      most = Math.max(most, values[at]!);
    }
    const m = toHalf(least);
    const d = toHalf(Math.max(most - fromHalf(m), 0) / largest);
    words[groups * bits + group] = d | (m << 16);
    for (let at = GROUP * group; at < GROUP * (group + 1); at++) {
      const code = fromHalf(d) > 0 ? Math.round((values[at]! - fromHalf(m)) / fromHalf(d)) : 0;
      words[Math.floor((at * bits) / 32)]! |= Math.min(Math.max(code, 0), largest) << ((at * bits) % 32);
    }
  }
  return words;
}

/** The numbers that the words of a KV cache stand for; of q8 and q4 mixed as they are stored. */
export function cacheValues(words: Uint32Array, format: CacheFormat): Float32Array {
  if (format === "f32") return new Float32Array(words.slice().buffer);
  if (format === "f16") {
    const halves = new Uint16Array(words.slice().buffer);
    const values = new Float32Array(halves.length);
    for (let i = 0; i < values.length; i++) values[i] = fromHalf(halves[i]!);
    return values;
  }
  const { bits, largest } = codesOf(format);
  const groups = Math.floor(words.length / (bits + 1)); // the words are an even number
  const values = new Float32Array(GROUP * groups);
  for (let at = 0; at < values.length; at++) {
    const word = words[groups * bits + Math.floor(at / GROUP)]!;
    const code = (words[Math.floor((at * bits) / 32)]! >>> ((at * bits) % 32)) & largest;
    values[at] = fromHalf(word) * code + fromHalf(word >>> 16);
  }
  return values;
}

/** What a KV cache stands for that holds the keys or values of some heads, back in their own order and no longer mixed. */
export function keptValues(
  x: Float64Array,
  headDim: number,
  format: CacheFormat,
  of: "keys" | "values",
): Float64Array {
  const order = groupPairs(Float64Array.from({ length: headDim }, (_, i) => i));
  const place = (at: number) => (of === "keys" ? at - (at % headDim) + order[at % headDim]! : at);
  const stored = mixOracle(x.map((_, at) => x[place(at)]!));
  const kept = mixOracle(cacheValues(cacheWords(Float32Array.from(stored), format), format));
  const back = new Float64Array(x.length);
  for (const at of back.keys()) back[place(at)] = kept[at]!;
  return back;
}

/**
 * Stored values are the wanted ones: within a half's rounding, or half the step of their group, whose ends are as near as the
 * nearest halves.
 */
export function expectStored(
  got: Float32Array,
  wanted: Float64Array,
  format: CacheFormat,
  relative: number,
): void {
  if (!isMixed(format)) {
    expectClose(got, wanted, { relative: relative + (format === "f16" ? HALF : 0) });
    return;
  }
  expect(got).toHaveLength(wanted.length);
  for (let start = 0; start < wanted.length; start += GROUP) {
    const own = wanted.subarray(start, start + GROUP);
    const [least, most] = [Math.min(...own), Math.max(...own)];
    const size = Math.max(Math.abs(least), Math.abs(most)) + most - least;
    const bound = (0.5 * (most - least)) / codesOf(format).largest + (relative + HALF / 2) * size;
    const off = own.reduce((worst, value, i) => Math.max(worst, Math.abs(got[start + i]! - value)), 0);
    expect(off, `group at ${start}`).toBeLessThanOrEqual(bound);
  }
}

function codesOf(format: CacheFormat): { bits: number; largest: number } {
  const bits = format === "q4" ? 4 : 8;
  return { bits, largest: 2 ** bits - 1 };
}
