import { fromHalf, toHalf } from "../../src/f16.ts";
import type { CacheFormat } from "../../src/kernels/cache.ts";

/** The words of a KV cache that holds `values`, as near as its format can. */
export function cacheWords(values: Float32Array, format: CacheFormat): Uint32Array {
  if (format === "f32") return new Uint32Array(values.slice().buffer);
  return new Uint32Array(Uint16Array.from(values, toHalf).buffer);
}

/** The numbers that the words of a KV cache stand for. */
export function cacheValues(words: Uint32Array, format: CacheFormat): Float32Array {
  if (format === "f32") return new Float32Array(words.slice().buffer);
  return Float32Array.from(new Uint16Array(words.slice().buffer), fromHalf);
}
