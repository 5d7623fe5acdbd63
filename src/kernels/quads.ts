import type { Gpu } from "../gpu/device.ts";
import { elementwise } from "./elementwise.ts";
import { type Linear, type LinearShape, productConstants } from "./linear.ts";
import { type Matrix, slabBuffers, slabShape, weightBindings } from "./matrix.ts";
import { ARITHMETIC_NEEDS, canMultiply } from "./vector.ts";
import { type Buffers, type Operation, prepare } from "./way.ts";

/** Rows of a quad. */
const ROWS = 4;
/** Bytes of a record: of four rows two groups of 32 columns. */
const RECORD_BYTES = 320;

/** Bytes of T rows of `columns` values as quads: 8-bit groups of 32, four rows side by side. */
export function quadsBytes(tokens: number, columns: number): number {
  return Math.ceil(tokens / ROWS) * Math.ceil(columns / 64) * RECORD_BYTES;
}

/** A group a lane. */
const LANES = elementwise(32);

/** Rows of f32 as quads. Bindings: x [T, columns] f32; quads, of quadsBytes(); rows. columns is a multiple of 32. */
export const QUANTISE: Operation<
  { readonly columns: number; readonly tokens: number },
  "x" | "quads" | "rows"
> = {
  name: "quantise",
  bindings: () => ["x", "quads", "rows"],
  ways: [
    {
      name: "groups",
      needs: ARITHMETIC_NEEDS.i8,
      files: () => ["rows", "quantise"],
      constants: ({ columns }) => ({ COLUMNS: columns, ...LANES.constants }),
      grid: ({ columns, tokens }) => LANES.grid(columns, tokens),
    },
  ],
};

type Binding = "input" | "weight" | "scales" | "y" | "rows";

/** Tokens, and rows of the matrix, of a workgroup of the way "narrow". */
const NARROW = { tokens: 8, rows: 64 };

/** Tokens, and rows of the matrix, of one tile of matmul_tiles.wgsl. */
const TILE = 64;

/**
 * y[t, n] = Σₖ W[n, k] x[t, k], or y += that, for the rows of W in a slab. Bindings: input, x [T, K] as quads; weight and
 * scales; y [T, N] f32; rows.
 */
export const LINEAR_OF_QUADS: Operation<LinearShape, Binding> = {
  name: "linear of quads",
  bindings: ({ format }) => ["input", ...weightBindings(format), "y", "rows"],
  ways: [
    {
      name: "narrow",
      needs: [...ARITHMETIC_NEEDS.i8, "narrow"],
      fits: ({ format }) => canMultiply(format, "i8"),
      files: ({ format }) => [
        "rows",
        "product",
        "input_i8",
        "narrow",
        `dot_${format}_narrow`,
        `tokens_${NARROW.tokens}`,
        "few_quads",
        "gemv_narrow_few",
        "matmul_narrow",
      ],
      constants: productConstants,
      grid: ({ rows, tokens }) => [Math.ceil(tokens / NARROW.tokens), Math.ceil(rows / NARROW.rows)],
    },
    {
      name: "tiles",
      needs: ARITHMETIC_NEEDS.i8,
      fits: ({ format }) => canMultiply(format, "i8"),
      files: ({ format }) => ["rows", "product", "input_i8", `tile_${format}`, "matmul_tiles"],
      constants: (shape) => ({ ...productConstants(shape), TILE, QUAD_ROWS: ROWS }),
      grid: ({ rows, tokens }) => [Math.ceil(tokens / TILE), Math.ceil(rows / TILE)],
    },
  ],
};

/**
 * As linear(), of rows that are rounded to 8 bits first: one more dispatch.
 * @param quads Of quadsBytes(), for what goes between the two.
 */
export async function linearOfQuads(
  gpu: Gpu,
  matrix: Matrix,
  tokens: number,
  quads: GPUBuffer,
  { accumulate = false, way }: { readonly accumulate?: boolean; readonly way?: string } = {},
): Promise<Linear> {
  const [quantise, ...products] = await Promise.all([
    prepare(gpu, QUANTISE, { columns: matrix.columns, tokens }),
    ...matrix.slabs.map((slab) =>
      prepare(
        gpu,
        LINEAR_OF_QUADS,
        { ...slabShape(matrix, slab), outputs: matrix.rows, tokens, accumulate },
        way,
      ),
    ),
  ]);
  return ({ x, y, rows }) => [
    quantise({ x, quads, rows }),
    ...matrix.slabs.map((slab, i) =>
      products[i]!({ input: quads, y, rows, ...slabBuffers(slab) } as Buffers<Binding>),
    ),
  ];
}
