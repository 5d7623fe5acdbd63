import { fromHalf, narrowToHalves, toHalf, widenHalves } from "../../f16.ts";
import type { Gpu } from "../../gpu/device.ts";
import type { Bound } from "../../gpu/kernel.ts";
import { type Part, wholeOf } from "../../gpu/part.ts";
import {
  type AttentionShape,
  type CacheFormat,
  cacheSlices,
  isMixed,
  packedBytes,
} from "../../kernels/cache.ts";
import type { SlabShape } from "../../kernels/matrix.ts";
import { packRows, unpackRows } from "../../quantize/pack.ts";
import { type PackedRows, storedBytes, type WeightFormat } from "../../stored.ts";
import type { Config } from "../config.ts";
import { fillRepeatedly, Noise } from "../noise.ts";
import type { State } from "../state.ts";
import type { Scene } from "./scene.ts";

/**
 * Distinct rows of a slab of noise, and of a KV cache. What is wanted of every row of a product takes so many sums. A prime, so
 * that the rows of a workgroup, tile or page differ.
 */
const DISTINCT_ROWS = 5;

type Words = Uint32Array<ArrayBuffer>;

/** What the kernels of a model find in its weights and its cache while they are checked: noise, that the host knows too. */
export class Stage {
  readonly config: Config;
  readonly state: State;
  /** The rows of the pass at hand. */
  scene!: Scene;
  private readonly gpu: Gpu;
  private readonly values = new Noise();
  /** Those that were filled. */
  private readonly slabs = new Set<Bound>();
  /** By format and columns: matrices that are alike in both have the same, for packing is most of the time. */
  private readonly rows = new Map<string, { readonly packed: PackedRows; readonly stored: Float32Array }>();
  /** By what is bound. */
  private readonly caches = new Map<Bound, Float32Array>();
  private readonly filled: Part[] = [];

  constructor(gpu: Gpu, config: Config, state: State) {
    this.gpu = gpu;
    this.config = config;
    this.state = state;
  }

  /** Rows of a pass that a kernel is told of by `rows`: all of them, or those that are drawn. */
  countOf(rows: Bound | undefined): number {
    return rows === this.state.rows.drawnBuffer ? this.scene.drawn.length : this.scene.rows.length;
  }

  /** Fills a slab with noise, once. Gives the weights of its row n. */
  weightsOf(
    { format, columns, rows }: SlabShape,
    { weight, scales }: { readonly weight: Bound; readonly scales?: Bound },
  ): (n: number) => Float32Array {
    const { packed, stored } = this.noiseOf(format, columns);
    if (!this.slabs.has(weight)) {
      this.slabs.add(weight);
      const stride = storedBytes(format, 1, columns);
      this.fill(weight, packed.words, rows * stride.words);
      if (scales) this.fill(scales, packed.scales!, rows * stride.scales);
    }
    return (n) => {
      const row = n % DISTINCT_ROWS;
      return stored.subarray(row * columns, (row + 1) * columns);
    };
  }

  /** Of each row of a slab the product with a vector. */
  products(
    shape: SlabShape,
    buffers: { readonly weight: Bound; readonly scales?: Bound },
    multiply: (weights: Float32Array) => number,
  ): (n: number) => number {
    const rowOf = this.weightsOf(shape, buffers);
    const products = Array.from({ length: DISTINCT_ROWS }, (_, n) => multiply(rowOf(n)));
    return (n) => products[n % DISTINCT_ROWS]!;
  }

  /** Fills keys or values with noise, once. Gives the index of what stands at a place for a head, and the distinct rows by it. */
  cacheOf(
    shape: AttentionShape,
    buffer: Bound,
  ): { rows: readonly Float32Array[]; indexOf: (head: number, place: number) => number } {
    const { headDim, kvHeads, page, pages, cache } = shape;
    const distinct = { ...shape, kvHeads: 1 };
    let stored = this.caches.get(buffer);
    if (!stored) {
      const packed = noisyCache(
        this.values,
        cache,
        packedBytes(distinct, DISTINCT_ROWS) / 4,
        DISTINCT_ROWS * headDim,
      );
      // First all codes, then the groups' words, if there are any: each is filled with its own part of the pattern.
      const own = cacheSlices(distinct, 0, { first: 0, count: DISTINCT_ROWS, positions: DISTINCT_ROWS });
      let [from, at] = [0, 0];
      for (const { bytes } of own) {
        const size = (bytes / DISTINCT_ROWS) * kvHeads * page * pages;
        this.fill(buffer, packed.subarray(from / 4, (from + bytes) / 4), size, at);
        from += bytes;
        at += size;
      }
      stored = unpackCache(cache, packed, DISTINCT_ROWS * headDim);
      this.caches.set(buffer, stored);
    }
    const known = stored;
    return {
      rows: Array.from({ length: DISTINCT_ROWS }, (_, i) => known.subarray(i * headDim, (i + 1) * headDim)),
      indexOf: (head, place) => (head * page * pages + place) % DISTINCT_ROWS,
    };
  }

  private noiseOf(format: WeightFormat, columns: number) {
    const key = `${format} ${columns}`;
    const known = this.rows.get(key);
    if (known) return known;
    const packed = packRows(format, this.values.rows(DISTINCT_ROWS, columns), columns);
    const made = { packed, stored: unpackRows(format, packed, DISTINCT_ROWS, columns) };
    this.rows.set(key, made);
    return made;
  }

  /** Leaves what was filled as empty as it was. */
  clear(encoder: GPUCommandEncoder): void {
    for (const { buffer, offset, size } of this.filled) encoder.clearBuffer(buffer, offset, size);
  }

  private fill(bound: Bound, pattern: Uint32Array, bytes: number, at = 0): void {
    const { buffer, offset } = "buffer" in bound ? bound : wholeOf(bound);
    const part = { buffer, offset: offset + at, size: bytes };
    fillRepeatedly(this.gpu, part, pattern, bytes);
    this.filled.push(part);
  }
}

/** Words of a cache that stand for `count` numbers from -1 to 1: all codes first, then the words of their groups. */
export function noisyCache(values: Noise, cache: CacheFormat, length: number, count: number): Words {
  if (cache === "f32") return new Uint32Array(values.take(count).buffer);
  if (cache === "f16") return new Uint32Array(narrowToHalves(values.take(count)).buffer as ArrayBuffer);
  const words = Uint32Array.from({ length }, () => Math.floor((values.next() + 1) * 2 ** 31));
  const group = toHalf(2 / codesOf(cache).largest) + 0x10000 * toHalf(-1);
  return words.fill(group, (count * codesOf(cache).bits) / 32);
}

/** Of the cache's formats with codes: their bits, and the largest. */
export function codesOf(cache: CacheFormat): { readonly bits: number; readonly largest: number } {
  const bits = cache === "q4" ? 4 : 8;
  return { bits, largest: 2 ** bits - 1 };
}

/** The numbers that packed words of a cache stand for: all codes first, then the words of their groups. */
export function unpackCache(cache: CacheFormat, words: Uint32Array, count: number): Float32Array {
  const own = words.slice();
  if (cache === "f32") return new Float32Array(own.buffer);
  if (!isMixed(cache)) return widenHalves(new Uint16Array(own.buffer, 0, count));
  const { bits, largest } = codesOf(cache);
  const groups = own.subarray((count * bits) / 32);
  return Float32Array.from({ length: count }, (_, at) => {
    const code = (own[Math.floor((at * bits) / 32)]! >>> ((at * bits) % 32)) & largest;
    const group = groups[Math.floor(at / 32)]!;
    return fromHalf(group & 0xffff) * code + fromHalf(group >>> 16);
  });
}
