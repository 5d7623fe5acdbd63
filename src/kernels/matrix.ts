import type { Gpu } from "../gpu/device.ts";
import { apart, type Part, type Take } from "../gpu/part.ts";
import { scalesOf, storedBytes, type WeightFormat } from "../stored.ts";

/** Rows of a matrix that fit one binding and one dispatch. */
export interface Slab {
  /** Where the slab begins in the whole matrix. */
  readonly firstRow: number;
  readonly rows: number;
  readonly weight: Part;
  /** Of the formats that have them: see `PackedRows`. */
  readonly scales?: Part;
}

/** A weight matrix [rows, columns] on the GPU, split by rows where it exceeds the binding limit or the grid's. */
export interface Matrix {
  readonly label: string;
  readonly rows: number;
  /** A multiple of 32. */
  readonly columns: number;
  readonly format: WeightFormat;
  readonly slabs: readonly Slab[];
}

/** Slabs begin at multiples of this many rows: tiles stay whole. */
export const SLAB_ALIGNMENT = 64;
/** Rows of one workgroup of matvec.wgsl, of all kernels of a matrix the one with the largest grid. */
export const ROWS_PER_WORKGROUP = 4;

/** The most rows of a slab that fit one binding and one dispatch, in whole steps of the alignment. */
export function slabRows(
  { bindingLimit, workgroupLimit }: Pick<Gpu, "bindingLimit" | "workgroupLimit">,
  format: WeightFormat,
  columns: number,
): number {
  const fitting = Math.floor(bindingLimit / storedBytes(format, 1, columns).words);
  const rowsAtOnce = Math.min(fitting, ROWS_PER_WORKGROUP * workgroupLimit);
  return Math.max(1, Math.floor(rowsAtOnce / SLAB_ALIGNMENT)) * SLAB_ALIGNMENT;
}

/** An empty matrix: room of the right sizes, to be filled by row. */
export function allocateMatrix(
  gpu: Gpu,
  label: string,
  format: WeightFormat,
  rows: number,
  columns: number,
  take: Take = apart(gpu),
): Matrix {
  const most = slabRows(gpu, format, columns);
  const slabs: Slab[] = [];
  for (let firstRow = 0; firstRow < rows; firstRow += most) {
    const count = Math.min(most, rows - firstRow);
    const { words, scales } = storedBytes(format, count, columns);
    slabs.push({
      firstRow,
      rows: count,
      weight: take(`${label} rows ${firstRow}…`, words),
      ...(scales > 0 ? { scales: take(`${label} scales ${firstRow}…`, scales) } : {}),
    });
  }
  return { label, rows, columns, format, slabs };
}

export function destroyMatrix({ slabs }: Matrix): void {
  for (const { weight, scales } of slabs) {
    weight.buffer.destroy();
    scales?.buffer.destroy();
  }
}

/** What a kernel that reads a slab is compiled for. */
export interface SlabShape {
  readonly format: WeightFormat;
  readonly columns: number;
  /** Rows of the slab. */
  readonly rows: number;
  /** Where it begins in the whole matrix. */
  readonly firstRow: number;
}

export function slabShape({ format, columns }: Matrix, { rows, firstRow }: Slab): SlabShape {
  return { format, columns, rows, firstRow };
}

/** The bindings of a format. */
export function weightBindings(format: WeightFormat): readonly ("weight" | "scales")[] {
  return scalesOf(format) ? ["weight", "scales"] : ["weight"];
}

/** What a slab binds, by binding name. */
export function slabBuffers({ weight, scales }: Slab): { weight: Part; scales?: Part } {
  return scales ? { weight, scales } : { weight };
}
