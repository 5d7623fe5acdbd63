import type { Gpu } from "./device.ts";
import { compile, type Dispatch, type Kernel } from "./kernel.ts";
import { type Matrix, ROWS_PER_WORKGROUP, slabBuffers, weightBindings } from "./matrix.ts";

/** Tokens, and rows of the matrix, of one tile of matmul.wgsl. */
const TILE = 32;

type Binding = "x" | "weight" | "scales" | "y" | "step";

/** y = x Wᵀ for one matrix W [N, K] of any stored format: a dispatch a slab. */
export type Linear = (buffers: {
  readonly x: GPUBuffer;
  readonly y: GPUBuffer;
  readonly step: GPUBuffer;
}) => Dispatch[];

export interface LinearOptions {
  /** Add to y instead of setting it: the residual. */
  readonly accumulate?: boolean;
}

/** y[n] = Σₖ W[n, k] x[k]: x [K], y [N]. For one token. */
export async function matvec(
  gpu: Gpu,
  matrix: Matrix,
  { accumulate = false }: LinearOptions = {},
): Promise<Linear> {
  const reduce = gpu.rung === "core" ? "reduce_workgroup" : "reduce_subgroup";
  return slabbed(
    matrix,
    (rows, firstRow) =>
      compile<Binding>(gpu, {
        label: `matvec ${matrix.label}`,
        files: [reduce, `weights_${matrix.format}`, "matvec"],
        bindings: ["x", ...weightBindings(matrix.format), "y"],
        constants: { COLUMNS: matrix.columns, ROWS: rows, FIRST_ROW: firstRow, ACCUMULATE: accumulate },
      }),
    (rows) => [Math.ceil(rows / ROWS_PER_WORKGROUP)],
  );
}

/** y[t, n] = Σₖ W[n, k] x[t, k]: x [T, K], y [T, N]. For `tokens` rows, of which step.count are real. */
export async function matmul(
  gpu: Gpu,
  matrix: Matrix,
  tokens: number,
  { accumulate = false }: LinearOptions = {},
): Promise<Linear> {
  return slabbed(
    matrix,
    (rows, firstRow) =>
      compile<Binding>(gpu, {
        label: `matmul ${matrix.label}`,
        files: ["step", `weights_${matrix.format}`, "matmul"],
        bindings: ["x", ...weightBindings(matrix.format), "y", "step"],
        constants: {
          COLUMNS: matrix.columns,
          ROWS: rows,
          FIRST_ROW: firstRow,
          Y_COLUMNS: matrix.rows,
          ACCUMULATE: accumulate,
        },
      }),
    (rows) => [Math.ceil(rows / TILE), Math.ceil(tokens / TILE)],
  );
}

async function slabbed(
  matrix: Matrix,
  compileSlab: (rows: number, firstRow: number) => Promise<Kernel<Binding>>,
  grid: (rows: number) => [number, number?],
): Promise<Linear> {
  const kernels = await Promise.all(matrix.slabs.map(({ rows, firstRow }) => compileSlab(rows, firstRow)));
  return (buffers) =>
    matrix.slabs.map((slab, i) =>
      kernels[i]!({ ...buffers, ...slabBuffers(slab) } as Record<Binding, GPUBuffer>, grid(slab.rows)),
    );
}
