import { ConfigError } from "../errors.ts";
import type { Constants } from "../gpu/kernel.ts";

/**
 * Bits that a value takes. q8 and q4 have groups of 32 values of a head, mixed by a Hadamard transform and rounded to codes, and
 * beside each group a u32 with its scale and minimum as halves: `shaders/hadamard.wgsl` and `shaders/round_group.wgsl`.
 */
const BITS = { f16: 16, f32: 32, q8: 8 + 32 / 32, q4: 4 + 32 / 32 } as const;

/** How keys and values are stored. */
export type CacheFormat = keyof typeof BITS;
export const CACHE_FORMATS = Object.keys(BITS) as readonly CacheFormat[];

/** Values of a group of q8 and q4. */
const GROUP = 32;

/** The sizes that rope and the attention kernels share. */
export interface AttentionShape {
  /** Query heads: a multiple of `kvHeads`. */
  readonly heads: number;
  /** Key and value heads. */
  readonly kvHeads: number;
  /** Width of a head: a multiple of 16 from 16 to 128. */
  readonly headDim: number;
  /** Positions that a sequence may have. */
  readonly context: number;
  readonly cache: CacheFormat;
  /** Positions of a page: a multiple of PAGE_ALIGNMENT where there are several pages. */
  readonly page: number;
  /** Pages of the KV cache, of all sequences. */
  readonly pages: number;
}

/** Whether keys, values and queries are mixed in groups, and what attention sums up has to be mixed back. */
export function isMixed(cache: CacheFormat): boolean {
  return cache === "q8" || cache === "q4";
}

/** Bytes of one layer's keys, or values: all codes first, then the groups' words, of which shaders read two at a time. */
export function cacheBytes({ kvHeads, headDim, page, pages, cache }: AttentionShape): number {
  return Math.ceil((kvHeads * page * pages * headDim * BITS[cache]) / 64) * 8;
}

/** Bytes of a position of a head: of its values, or their codes, and of the words of its groups, if it has any. */
function positionBytes({ headDim, cache }: AttentionShape): readonly number[] {
  const word = isMixed(cache) ? 32 / GROUP : 0;
  const bytes = [BITS[cache] - word, word].map((bits) => (headDim * bits) / 8);
  return word > 0 ? bytes : bytes.slice(0, 1);
}

/** Bytes of one layer's keys, or values, of some positions without pages. */
export function packedBytes(shape: AttentionShape, positions: number): number {
  return shape.kvHeads * positions * positionBytes(shape).reduce((a, b) => a + b);
}

/** Bytes that stand together, in one layer's keys, or values, as cached and as packed. */
interface CacheSlice {
  readonly cached: number;
  readonly packed: number;
  readonly bytes: number;
}

/**
 * Where `count` positions from `first` on stand in the cache, from `place` on in one page, and where among `positions` that
 * are packed without pages: [kvHeads, positions, headDim], all codes first, then the groups' words.
 */
export function cacheSlices(
  shape: AttentionShape,
  place: number,
  { first, count, positions }: { first: number; count: number; positions: number },
): CacheSlice[] {
  const { kvHeads, page, pages } = shape;
  const slices: CacheSlice[] = [];
  let [cached, packed] = [0, 0];
  for (const bytes of positionBytes(shape)) {
    for (let head = 0; head < kvHeads; head++) {
      slices.push({
        cached: cached + (head * page * pages + place) * bytes,
        packed: packed + (head * positions + first) * bytes,
        bytes: count * bytes,
      });
    }
    cached += kvHeads * page * pages * bytes;
    packed += kvHeads * positions * bytes;
  }
  return slices;
}

/** Positions that attention takes from one page at a time. */
export const PAGE_ALIGNMENT = 16;

/** The longest line of the page table: pages of one sequence. */
export function sequencePages({ context, page }: Pick<AttentionShape, "context" | "page">): number {
  return Math.ceil(context / page);
}

/** @throws ConfigError when the kernels do not take a shape. */
export function checkShape({ heads, kvHeads, headDim, context, cache, page, pages }: AttentionShape): void {
  if (!(headDim % 16 === 0 && headDim >= 16 && headDim <= 128)) {
    throw new ConfigError(
      `Attention takes heads of 16 to 128 values, a multiple of 16; these have ${headDim}.`,
    );
  }
  if (isMixed(cache) && headDim % GROUP !== 0) {
    throw new ConfigError(
      `A KV cache in ${cache} has heads in groups of ${GROUP} values; these have ${headDim}. Choose f16.`,
    );
  }
  if (!(kvHeads >= 1 && heads >= 1 && heads % kvHeads === 0)) {
    throw new ConfigError(
      `Attention wants as many query heads as key heads or a multiple of them; found ${heads} and ${kvHeads}.`,
    );
  }
  if (!(Number.isInteger(context) && context >= 1)) {
    throw new ConfigError(
      `A KV cache holds a whole number of positions, at least one; asked for ${context}.`,
    );
  }
  if (!(pages === 1 || page % PAGE_ALIGNMENT === 0)) {
    throw new ConfigError(
      `Pages of a KV cache hold a multiple of ${PAGE_ALIGNMENT} positions; asked for ${page}.`,
    );
  }
}

/**
 * The overrides of a kernel that takes the shape.
 * @throws ConfigError when the kernels do not take it.
 */
export function shapeConstants(shape: AttentionShape): Constants {
  checkShape(shape);
  const { heads, kvHeads, headDim, context, page, pages } = shape;
  return {
    HEADS: heads,
    KV_HEADS: kvHeads,
    HEAD_DIM: headDim,
    CONTEXT: context,
    CACHED: page * pages,
    PAGE: page,
    SEQUENCE_PAGES: sequencePages(shape),
  };
}
