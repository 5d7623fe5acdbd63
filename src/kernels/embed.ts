import type { Gpu } from "./device.ts";
import { compile, type Dispatch } from "./kernel.ts";
import { type Matrix, slabBuffers, weightBindings } from "./matrix.ts";

type Binding = "tokens" | "weight" | "scales" | "y" | "step";

/** Columns that one workgroup of embed.wgsl copies. */
const COLUMNS_PER_WORKGROUP = 512;

/** y[t, :] = table[tokens[t], :]: tokens [T], table [vocab, dim] of any stored format, y [T, dim]. */
export async function embed(gpu: Gpu, table: Matrix, tokenCount: number) {
  const kernels = await Promise.all(
    table.slabs.map(({ rows, firstRow }) =>
      compile<Binding>(gpu, {
        label: "embed",
        files: ["step", `weights_${table.format}`, "embed"],
        bindings: ["tokens", ...weightBindings(table.format), "y", "step"],
        constants: { COLUMNS: table.columns, ROWS: rows, FIRST_ROW: firstRow },
      }),
    ),
  );
  return (buffers: { tokens: GPUBuffer; y: GPUBuffer; step: GPUBuffer }): Dispatch[] =>
    table.slabs.map((slab, i) =>
      kernels[i]!({ ...buffers, ...slabBuffers(slab) } as Record<Binding, GPUBuffer>, [
        Math.ceil(table.columns / COLUMNS_PER_WORKGROUP),
        tokenCount,
      ]),
    );
}
