import type { Constants } from "../gpu/kernel.ts";
import { type AttentionShape, isMixed, PAGE_ALIGNMENT, shapeConstants } from "./cache.ts";
import type { Few } from "./gemv.ts";
import { reducing } from "./reduce.ts";
import { type Arithmetic, storeParts } from "./vector.ts";
import type { Operation } from "./way.ts";

/** Attention of few rows, which ends as a vector each. */
type WholeShape = AttentionShape & Few & { readonly arithmetic: Arithmetic };

/** The same, whose positions are split. */
type SplitShape = WholeShape & {
  /** Workgroups that share a head's positions. */
  readonly splits: number;
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
 * The shares of causal attention of each row over the positions of its sequence up to its own, SPLIT_POSITIONS each. Bindings: q
 * [T, heads, headDim] f32, rotated; keys and values [kvHeads, page · pages, headDim] in the cache's format; parts, of
 * splitBytes(); rows; pages.
 */
export const ATTENTION_SPLIT: Operation<SplitShape, "q" | "keys" | "values" | "parts" | "rows" | "pages"> = {
  name: "attention split",
  bindings: () => ["q", "keys", "values", "parts", "rows", "pages"],
  ways: [
    {
      name: "narrow",
      needs: ["subgroups", "narrow"],
      files: ({ cache }) => ["heads", "rows", "pages", "splits", `octet_${cache}`, "attention_split_narrow"],
      constants: (shape) => ({ ...splitConstants(shape), LANES: NARROW_LANES, LONGEST: SPLIT_POSITIONS }),
      grid: ({ heads, splits, tokens = 1 }) => [heads, splits, tokens],
    },
    ...reducing<SplitShape>("", (part) => ({
      files: ({ cache }) => [
        "heads",
        "rows",
        "pages",
        "splits",
        `octet_${cache}`,
        part,
        "leave_share",
        "attention_split",
      ],
      constants: (shape) => ({ ...splitConstants(shape), WORKGROUP: LANES, LANES, RUN: PAGE_ALIGNMENT }),
      grid: ({ heads, splits, tokens = 1 }) => [heads, splits, tokens],
    })),
  ],
};

/**
 * Attention of each row over SPLIT_POSITIONS positions of its sequence at most, which need no splits: y as the vectors `stored` of
 * heads · headDim values. The other bindings are those of ATTENTION_SPLIT.
 */
export const ATTENTION_WHOLE: Operation<WholeShape, "q" | "keys" | "values" | "rows" | "pages" | "stored"> = {
  name: "attention whole",
  bindings: () => ["q", "keys", "values", "rows", "pages", "stored"],
  ways: reducing<WholeShape>("", (part) => ({
    files: (shape) => [
      "heads",
      "rows",
      "pages",
      "splits",
      `octet_${shape.cache}`,
      part,
      ...storing(shape),
      "leave_whole",
      "attention_split",
    ],
    constants: (shape) => ({
      ...splitConstants({ ...shape, splits: 1 }),
      WORKGROUP: LANES,
      LANES,
      RUN: PAGE_ALIGNMENT,
      STORED_COLUMNS: shape.heads * shape.headDim,
    }),
    grid: ({ heads, tokens = 1 }) => [heads, 1, tokens],
  })),
};

/** Parts that end a group of 32 values of a head: mixed back where the cache is mixed, and stored. */
function storing({ arithmetic, cache }: WholeShape): string[] {
  return [
    "tokens_1",
    "turns",
    ...(isMixed(cache) ? ["hadamard", "merged_mixed"] : ["merged_plain"]),
    ...storeParts(arithmetic),
  ];
}

/**
 * y = the shares put together, mixed back where the cache is mixed, as the vectors `stored` of heads · headDim values. headDim is
 * a multiple of 32.
 */
export const ATTENTION_MERGE: Operation<SplitShape, "shares" | "stored"> = {
  name: "attention merge",
  bindings: () => ["shares", "stored"],
  ways: [
    {
      name: "plain",
      needs: [],
      files: (shape) => [...storing(shape), "attention_merge"],
      constants: ({ heads, headDim, splits }) => ({
        HEADS: heads,
        HEAD_DIM: headDim,
        SPLITS: splits,
        STORED_COLUMNS: heads * headDim,
      }),
      grid: ({ heads, headDim, tokens = 1 }) => [(heads * headDim) / 32, tokens],
    },
  ],
};
