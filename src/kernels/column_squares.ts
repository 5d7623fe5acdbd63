import type { Gpu } from "./device.ts";
import { compile, type Dispatch } from "./kernel.ts";

/** Columns that one workgroup of column_squares.wgsl sums. */
const COLUMNS_PER_WORKGROUP = 256;

/** sums[k] += Σₜ x[t, k]² over the step.count tokens of a pass: x [T, columns], sums [columns]. */
export async function columnSquares(gpu: Gpu, columns: number) {
  const kernel = await compile(gpu, {
    label: "column squares",
    files: ["step", "column_squares"],
    bindings: ["x", "sums", "step"],
    constants: { COLUMNS: columns },
  });
  return (buffers: { x: GPUBuffer; sums: GPUBuffer; step: GPUBuffer }): Dispatch =>
    kernel(buffers, [Math.ceil(columns / COLUMNS_PER_WORKGROUP)]);
}
