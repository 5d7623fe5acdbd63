import { type AttentionShape, isMixed, shapeConstants } from "./cache.ts";
import { type Few, GEMV_ROWS, type GemvShape, gemvWays } from "./gemv.ts";
import { weightsPart } from "./linear.ts";
import { type SlabShape, weightBindings } from "./matrix.ts";
import { type Arithmetic, storeParts } from "./vector.ts";
import type { Operation } from "./way.ts";

/** A norm whose weight is in the vector already, and whose factor the product gets. */
type Normed = { readonly eps: number };

/** The vectors, one a row, that a kernel leaves for the matrices behind it. */
type Storing = {
  readonly arithmetic: Arithmetic;
  /** Values of the whole of it: a multiple of 32. */
  readonly storedColumns: number;
};

type QkvShape = GemvShape & Normed & { readonly attention: AttentionShape };

/**
 * q, k and v of each row from h, which is x · weight of the norm: q rotated [T, heads, headDim] f32, k and v appended to the
 * row's sequence. Bindings: input, the vectors h; weight and scales of W_q, W_k and W_v as one slab; table, what ropeTable()
 * makes; rows; keys and values [kvHeads, page · pages, headDim] in the cache's format; q. headDim is a multiple of 32.
 */
export const QKV: Operation<
  QkvShape,
  "input" | "weight" | "scales" | "table" | "rows" | "keys" | "values" | "q"
> = {
  name: "qkv",
  bindings: ({ format }) => ["input", ...weightBindings(format), "table", "rows", "keys", "values", "q"],
  ways: gemvWays({
    files: ({ attention: { cache } }) => [
      "input_norm",
      "heads",
      "rows",
      ...(isMixed(cache)
        ? ["hadamard", `codes_${cache}`, "round_group", "put_mixed"]
        : [`cache_${cache}`, "put_plain"]),
      "qkv",
    ],
    constants: ({ eps, attention }) => {
      const { PAGE: _, SEQUENCE_PAGES: __, ...constants } = shapeConstants(attention);
      return { EPS: eps, ...constants };
    },
    workgroups: ({ rows }, groups) => Math.ceil(rows / (GEMV_ROWS * groups)),
  }),
};

/**
 * x += W · input, for the rows of W in a slab, and the new x, times the weight of the norm that comes next, as the vectors
 * `stored`. Bindings: input; weight and scales; x [T, rows of W] f32; norm [rows of W] f32; stored.
 */
export const ADD: Operation<GemvShape & Storing, "input" | "weight" | "scales" | "x" | "norm" | "stored"> = {
  name: "add",
  bindings: ({ format }) => ["input", ...weightBindings(format), "x", "norm", "stored"],
  ways: gemvWays({
    files: (shape) => [...storeParts(shape.arithmetic), "add"],
    constants: ({ rows, firstRow, storedColumns }) => ({
      ROWS: rows,
      FIRST_ROW: firstRow,
      STORED_COLUMNS: storedColumns,
    }),
    workgroups: ({ rows }, groups) => Math.ceil(rows / (GEMV_ROWS * groups)),
  }),
};

/**
 * silu(W_gate h / rms) ⊙ W_up h / rms, as the vectors `stored`. Bindings: input, the vectors h; weight and scales of W_gate
 * and W_up as one slab; stored.
 */
export const GATE: Operation<GemvShape & Normed & Storing, "input" | "weight" | "scales" | "stored"> = {
  name: "gate",
  bindings: ({ format }) => ["input", ...weightBindings(format), "stored"],
  ways: gemvWays({
    files: (shape) => ["input_norm", ...storeParts(shape.arithmetic), "gate"],
    constants: ({ eps, storedColumns }) => ({
      EPS: eps,
      HIDDEN: storedColumns,
      STORED_COLUMNS: storedColumns,
    }),
    workgroups: ({ storedColumns }) => storedColumns / GEMV_ROWS,
  }),
};

/** What the head takes. */
type HeadShape = GemvShape &
  Normed & {
    /** Rows of the whole matrix. */
    readonly outputs: number;
  };

/**
 * logits = W h / rms, for the rows of W in a slab. Bindings: input, the vectors h; weight and scales; logits [T, outputs] f32,
 * those past the pass's rows with whatever comes of what was there.
 */
export const HEAD: Operation<HeadShape, "input" | "weight" | "scales" | "logits"> = {
  name: "head",
  bindings: ({ format }) => ["input", ...weightBindings(format), "logits"],
  ways: gemvWays({
    files: () => ["input_norm", "head"],
    constants: ({ eps, rows, firstRow, outputs }) => ({
      EPS: eps,
      ROWS: rows,
      FIRST_ROW: firstRow,
      OUTPUTS: outputs,
    }),
    workgroups: ({ rows }, groups) => Math.ceil(rows / (GEMV_ROWS * groups)),
  }),
};

/**
 * x = table[token of the row], where the token is in the slab, and x · norm as the vectors `stored`. Bindings: weight and
 * scales; x [T, dim] f32; rows; norm [dim] f32; stored.
 */
export const EMBED_GROUP: Operation<
  SlabShape & Few & Storing,
  "weight" | "scales" | "x" | "rows" | "norm" | "stored"
> = {
  name: "embed group",
  bindings: ({ format }) => [...weightBindings(format), "x", "rows", "norm", "stored"],
  ways: [
    {
      name: "plain",
      needs: [],
      files: (shape) => [
        "tokens_1",
        "turns",
        "rows",
        weightsPart(shape.format),
        ...storeParts(shape.arithmetic),
        "embed_group",
      ],
      constants: ({ columns, rows, firstRow }) => ({
        COLUMNS: columns,
        ROWS: rows,
        FIRST_ROW: firstRow,
        STORED_COLUMNS: columns,
      }),
      grid: ({ columns, tokens = 1 }) => [columns / GEMV_ROWS, tokens],
    },
  ],
};
