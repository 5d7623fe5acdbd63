import type { Gpu } from "../gpu/device.ts";
import type { Constants, Dispatch } from "../gpu/kernel.ts";
import type { WeightFormat } from "../stored.ts";
import { MATRICES, type Matrices } from "./matrices.ts";
import {
  type Matrix,
  ROWS_PER_WORKGROUP,
  type SlabShape,
  slabBuffers,
  slabShape,
  weightBindings,
} from "./matrix.ts";
import { REDUCE_LANES, reducing } from "./reduce.ts";
import { type Buffers, type Operation, prepare, type Way } from "./way.ts";

/** A product of several rows, or of one, with a slab. */
export type LinearShape = SlabShape & {
  /** Rows of the whole matrix. */
  readonly outputs: number;
  /** T: rows of the pass. */
  readonly tokens: number;
  /** Add to y instead of setting it: the residual. */
  readonly accumulate: boolean;
};

/**
 * Of few rows and of more, tokens and rows of the matrix in a tile of matmul.wgsl, how often a lane has four of them, and vec4
 * columns that are in workgroup memory at once.
 */
const FEW_TILE = { TILE: 32, TILE_ROWS: 32, QUADS: 1, SLICE: 4 };
const TILE = { TILE: 64, TILE_ROWS: 128, QUADS: 2, SLICE: 4 };

function tileOf({ tokens }: LinearShape) {
  return tokens > FEW_TILE.TILE ? TILE : FEW_TILE;
}

/** Of the way "narrow": lanes of a subgroup, which is its workgroup, and rows of the matrix and tokens that each does. */
const NARROW = { LANES: 8, LANE_ROWS: 4, TOKENS: 8 };

type Binding = "x" | "weight" | "scales" | "y" | "rows";

/** A tile of matmul_matrix.wgsl, which has to fit 16 KiB. */
interface MatrixTile {
  /** What a subgroup makes. */
  readonly block: readonly [tokens: number, rows: number];
  readonly blocks: readonly [down: number, across: number];
  /** Columns that are there at once, as halves. */
  readonly columns: number;
  /** Sums that are written at once. */
  readonly results: number;
}

/** Sums are 64 registers of a lane, of subgroups of 64 and of 32. */
const OF_64: MatrixTile = { block: [64, 64], blocks: [2, 2], columns: 16, results: 1024 };
const OF_32: MatrixTile = { block: [32, 64], blocks: [4, 1], columns: 32, results: 256 };
/** Likewise, where subgroups have as many lanes as a matrix has columns, 16 or 8. */
const OF_16: MatrixTile = { block: [32, 32], blocks: [4, 4], columns: 16, results: 1024 };
const OF_8: MatrixTile = { block: [16, 32], blocks: [8, 4], columns: 16, results: 1024 };
const TILES: Readonly<Record<string, MatrixTile>> = {
  "matrix 8x16x16": OF_16,
  "matrix 8x8x16": OF_8,
  // Of processors: compiling a larger block takes them seconds.
  "matrix 8": { block: [16, 32], blocks: [8, 1], columns: 16, results: 512 },
};

/** Rows by matrices that a subgroup multiplies, in halves: not for weights that somebody wants in f32. */
function byMatrices({ way, needs, M, N, K }: Matrices, tile: MatrixTile): Way<LinearShape> {
  const { block, blocks, columns, results } = tile;
  return {
    name: way,
    needs,
    fits: ({ format, tokens }) => tokens > 1 && format !== "f32",
    files: ({ format }) => ["rows", weightsPart(format), "matrices", "matmul_matrix"],
    constants: (shape) => ({
      ...productConstants(shape),
      M,
      N,
      K,
      DOWN: block[0] / M,
      ACROSS: block[1] / N,
      BLOCKS_DOWN: blocks[0],
      BLOCKS_ACROSS: blocks[1],
      OCTETS: columns / 8,
      PLACES: results / (M * N),
    }),
    grid: ({ rows, tokens }) => [
      Math.ceil(rows / (blocks[1] * block[1])),
      Math.ceil(tokens / (blocks[0] * block[0])),
    ],
  };
}

const BY_MATRICES = MATRICES.flatMap((matrices) => [
  ...(matrices.way === "matrix 16"
    ? [byMatrices({ ...matrices, way: "matrix 16 wide", needs: [...matrices.needs, "wide"] }, OF_64)]
    : []),
  byMatrices(matrices, TILES[matrices.way] ?? OF_32),
]);

/** The names of the ways by matrices, the best first. */
export const MATRIX_WAYS: readonly string[] = BY_MATRICES.map(({ name }) => name);

/** y[t, n] = Σₖ W[n, k] x[t, k], for the rows of W in a slab: x [T, K], W [N, K] of any stored format, y [T, N]. */
export const LINEAR: Operation<LinearShape, Binding> = {
  name: "linear",
  bindings: ({ format, tokens }) => [
    "x",
    ...weightBindings(format),
    "y",
    ...(tokens === 1 ? [] : (["rows"] as const)),
  ],
  ways: [
    ...reducing<LinearShape>("matvec ", (part) => ({
      fits: ({ tokens }) => tokens === 1,
      files: ({ format }) => ["product", part, weightsPart(format), "matvec"],
      constants: (shape) => ({ ...productConstants(shape), ROWS_PER_WORKGROUP, WORKGROUP: REDUCE_LANES }),
      grid: ({ rows }) => [Math.ceil(rows / ROWS_PER_WORKGROUP)],
    })),
    {
      name: "narrow",
      needs: ["subgroups", "narrow"],
      fits: ({ tokens }) => tokens > 1,
      files: ({ format }) => ["rows", "product", weightsPart(format), "matmul_narrow_f32"],
      constants: (shape) => ({ ...productConstants(shape), ...NARROW }),
      grid: ({ rows, tokens }) => [
        Math.ceil(tokens / NARROW.TOKENS),
        Math.ceil(rows / (NARROW.LANES * NARROW.LANE_ROWS)),
      ],
    },
    ...BY_MATRICES,
    {
      name: "matmul",
      needs: [],
      fits: ({ tokens }) => tokens > 1,
      files: ({ format }) => ["rows", "product", weightsPart(format), "matmul"],
      constants: (shape) => ({ ...productConstants(shape), ...tileOf(shape) }),
      grid: (shape) => [
        Math.ceil(shape.rows / tileOf(shape).TILE_ROWS),
        Math.ceil(shape.tokens / tileOf(shape).TILE),
      ],
    },
  ],
};

/** The shader part that reads weights of a format. */
export function weightsPart(format: WeightFormat): string {
  return `weights_${format}`;
}

/** What product.wgsl and the part that reads the weights are told. */
export function productConstants({ columns, rows, firstRow, accumulate, outputs }: LinearShape): Constants {
  return {
    COLUMNS: columns,
    ROWS: rows,
    FIRST_ROW: firstRow,
    ACCUMULATE: accumulate,
    Y_COLUMNS: outputs,
  };
}

/** y = x Wᵀ for one matrix, or y += x Wᵀ: a dispatch a slab. */
export type Linear = (buffers: Buffers<"x" | "y" | "rows">) => Dispatch[];

/** Compiles the product with one matrix for passes of `tokens` rows. */
export async function linear(
  gpu: Gpu,
  matrix: Matrix,
  tokens: number,
  { accumulate = false, way }: { readonly accumulate?: boolean; readonly way?: string } = {},
): Promise<Linear> {
  const products = await Promise.all(
    matrix.slabs.map((slab) =>
      prepare(gpu, LINEAR, { ...slabShape(matrix, slab), outputs: matrix.rows, tokens, accumulate }, way),
    ),
  );
  return (buffers) =>
    matrix.slabs.map((slab, i) => products[i]!({ ...buffers, ...slabBuffers(slab) } as Buffers<Binding>));
}
