import type { Constants } from "../gpu/kernel.ts";
import { type AttentionShape, isMixed, PAGE_ALIGNMENT, shapeConstants } from "./cache.ts";
import { reducing } from "./reduce.ts";
import type { Arithmetic } from "./vector.ts";
import type { Operation } from "./way.ts";

/** Attention of one row, whose positions are split. */
type SplitShape = AttentionShape & {
  /** Workgroups that share a head's positions. */
  readonly splits: number;
  readonly arithmetic: Arithmetic;
};

/** Lanes of a workgroup, and positions that it takes at a time. */
const LANES = 256;
/** Lanes of a subgroup of the way "narrow", which is its workgroup. */
const NARROW_LANES = 8;
/** Positions of a split. */
export const SPLIT_POSITIONS = 256;

/** Bytes of what the splits of one row leave. */
export function splitBytes({ heads, headDim }: AttentionShape, splits: number): number {
  return 4 * heads * splits * (headDim + 4);
}

function splitConstants(shape: SplitShape): Constants {
  return { ...shapeConstants(shape), SPAN: SPLIT_POSITIONS, SPLITS: shape.splits };
}

/**
 * The shares of causal attention of one row over the positions of its sequence up to its own, SPLIT_POSITIONS each. Bindings: q
 * [heads, headDim] f32, rotated; keys and values [kvHeads, page · pages, headDim] in the cache's format; parts, of
 * splitBytes(); rows; pages.
 */
export const ATTENTION_SPLIT: Operation<SplitShape, "q" | "keys" | "values" | "parts" | "rows" | "pages"> = {
  name: "attention split",
  bindings: () => ["q", "keys", "values", "parts", "rows", "pages"],
  ways: [
    {
      name: "narrow",
      needs: ["subgroups", "narrow"],
      files: ({ cache }) => ["rows", "pages", `octet_${cache}`, "attention_split_narrow"],
      constants: (shape) => ({ ...splitConstants(shape), LANES: NARROW_LANES, LONGEST: SPLIT_POSITIONS }),
      grid: ({ heads, splits }) => [heads, splits],
    },
    ...reducing<SplitShape>("", (part) => ({
      files: ({ cache }) => ["rows", "pages", `octet_${cache}`, part, "attention_split"],
      constants: (shape) => ({ ...splitConstants(shape), WORKGROUP: LANES, LANES, RUN: PAGE_ALIGNMENT }),
      grid: ({ heads, splits }) => [heads, splits],
    })),
  ],
};

/** y = the shares put together, mixed back where the cache is mixed, as the vector `stored` of heads · headDim values. headDim is a multiple of 32. */
export const ATTENTION_MERGE: Operation<SplitShape, "shares" | "stored"> = {
  name: "attention merge",
  bindings: () => ["shares", "stored"],
  ways: [
    {
      name: "plain",
      needs: [],
      files: ({ arithmetic, cache }) => [
        ...(isMixed(cache) ? ["hadamard", "merged_mixed"] : ["merged_plain"]),
        `store_${arithmetic}`,
        "attention_merge",
      ],
      constants: ({ heads, headDim, splits }) => ({
        HEADS: heads,
        HEAD_DIM: headDim,
        SPLITS: splits,
        STORED_COLUMNS: heads * headDim,
      }),
      grid: ({ heads, headDim }) => [(heads * headDim) / 32],
    },
  ],
};
