import type { Gpu } from "../gpu/device.ts";
import type { Dispatch } from "../gpu/kernel.ts";
import { elementwise } from "./elementwise.ts";
import { weightsPart } from "./linear.ts";
import { type Matrix, type SlabShape, slabBuffers, slabShape, weightBindings } from "./matrix.ts";
import { type Buffers, type Operation, prepare } from "./way.ts";

type Binding = "weight" | "scales" | "y" | "rows";

const LANES = elementwise(8);

/** y[t, :] = table[token of row t, :], for the tokens in a slab of the table: table [vocab, dim], y [T, dim]. */
export const EMBED: Operation<SlabShape & { readonly tokens: number }, Binding> = {
  name: "embed",
  bindings: ({ format }) => [...weightBindings(format), "y", "rows"],
  ways: [
    {
      name: "plain",
      needs: [],
      files: ({ format }) => ["rows", weightsPart(format), "embed"],
      constants: ({ columns, rows, firstRow }) => ({
        COLUMNS: columns,
        ROWS: rows,
        FIRST_ROW: firstRow,
        ...LANES.constants,
      }),
      grid: ({ columns, tokens }) => LANES.grid(columns, tokens),
    },
  ],
};

/** Compiles the look-up in a table for passes of `tokens` rows: a dispatch a slab. */
export async function embed(
  gpu: Gpu,
  table: Matrix,
  tokens: number,
): Promise<(buffers: Buffers<"y" | "rows">) => Dispatch[]> {
  const lookups = await Promise.all(
    table.slabs.map((slab) => prepare(gpu, EMBED, { ...slabShape(table, slab), tokens })),
  );
  return (buffers) =>
    table.slabs.map((slab, i) => lookups[i]!({ ...buffers, ...slabBuffers(slab) } as Buffers<Binding>));
}
