import { ConfigError } from "../errors.ts";
import type { Constants } from "../gpu/kernel.ts";

/** How keys and values are stored. */
export type CacheFormat = "f16" | "f32";

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

/** Positions that attention takes from one page at a time. */
export const PAGE_ALIGNMENT = 16;

/** The longest line of the page table: pages of one sequence. */
export function sequencePages({ context, page }: Pick<AttentionShape, "context" | "page">): number {
  return Math.ceil(context / page);
}

/**
 * The overrides of a kernel that takes the shape.
 * @throws ConfigError when the kernels do not take it.
 */
export function shapeConstants(shape: AttentionShape): Constants {
  const { heads, kvHeads, headDim, context, page, pages } = shape;
  if (!(headDim % 16 === 0 && headDim >= 16 && headDim <= 128)) {
    throw new ConfigError(
      `Attention takes heads of 16 to 128 values, a multiple of 16; these have ${headDim}.`,
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
