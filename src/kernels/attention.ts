import { type AttentionShape, PAGE_ALIGNMENT, shapeConstants } from "./cache.ts";
import { MATRICES, type Matrices } from "./matrices.ts";
import { reducing } from "./reduce.ts";
import type { Operation, Way } from "./way.ts";

export type AttentionPass = AttentionShape & {
  /** T: rows of the pass. */
  readonly tokens: number;
};

/** Lanes that share one head of one row: the most that WebGPU guarantees, for there are few heads to fill a GPU with. */
const DECODE_LANES = 256;
/** Rows that each walk the cache on their own, up to which that is no worse than sharing it in tiles. */
const FEW_ROWS = 8;
/** Queries that share a workgroup's tiles of keys and values. */
const TILE_ROWS = 64;
/** The same of the way "tiles narrow". */
const NARROW_ROWS = 8;

/** Blocks of as many queries as a matrix has rows, which share tiles. */
const BLOCKS = 4;

/** Queries, keys and values by matrices that a subgroup multiplies, in halves: not what somebody wants in f32. */
function byMatrices({ way, needs, M, N, K }: Matrices): Way<AttentionPass> {
  return {
    name: way,
    needs,
    fits: ({ cache, tokens, headDim }) =>
      tokens > 1 && cache !== "f32" && headDim % K === 0 && headDim % N === 0,
    files: ({ cache }) => ["rows", "pages", `octet_${cache}`, "matrices", "attention_matrix"],
    constants: (shape) => ({ ...shapeConstants(shape), M, N, K, BLOCKS }),
    grid: ({ heads, kvHeads, tokens }) => [kvHeads, Math.ceil((tokens * (heads / kvHeads)) / (BLOCKS * M))],
  };
}

/** Here NVIDIA's compiler in Mesa has more to turn of narrower ones. */
const WIDEST_FIRST = [...MATRICES].sort((a, b) => b.N - a.N);

/**
 * Causal attention: y[t] = softmax(q[t] · keys / √headDim) · values over the positions of row t's sequence up to its
 * own, mixed as values are where the cache is. Bindings: qkv [T, (heads + 2 kvHeads) headDim] f32, of which only q, already rotated, is read; keys and values
 * [kvHeads, page · pages, headDim] in the cache's format, this pass's included; y [T, heads headDim] f32; rows; pages.
 */
export const ATTENTION: Operation<AttentionPass, "qkv" | "keys" | "values" | "y" | "rows" | "pages"> = {
  name: "attention",
  bindings: () => ["qkv", "keys", "values", "y", "rows", "pages"],
  ways: [
    {
      name: "tiles narrow",
      needs: ["subgroups", "narrow"],
      files: ({ cache }) => ["heads", "rows", "pages", `octet_${cache}`, "queries", "attention_tiles_narrow"],
      constants: (shape) => ({ ...shapeConstants(shape), ROWS: NARROW_ROWS, KEYS: PAGE_ALIGNMENT }),
      grid: ({ heads, kvHeads, tokens }) => [kvHeads, Math.ceil((tokens * (heads / kvHeads)) / NARROW_ROWS)],
    },
    ...reducing<AttentionPass>("rows ", (part) => ({
      fits: ({ tokens }) => tokens <= FEW_ROWS,
      files: ({ cache }) => ["heads", "rows", "pages", `quartet_${cache}`, part, "attention_decode"],
      constants: (shape) => ({ ...shapeConstants(shape), WORKGROUP: DECODE_LANES }),
      grid: ({ heads, tokens }) => [heads, tokens],
    })),
    ...WIDEST_FIRST.map(byMatrices),
    {
      name: "tiles",
      needs: [],
      fits: ({ tokens }) => tokens > 1,
      files: ({ cache }) => ["heads", "rows", "pages", `octet_${cache}`, "queries", "attention_tiles"],
      constants: (shape) => ({ ...shapeConstants(shape), ROWS: TILE_ROWS, KEYS: PAGE_ALIGNMENT }),
      grid: ({ heads, kvHeads, tokens }) => [kvHeads, Math.ceil((tokens * (heads / kvHeads)) / TILE_ROWS)],
    },
  ],
};
