import type { Gpu } from "../../src/gpu/device.ts";
import type { AttentionShape } from "../../src/kernels/cache.ts";
import { ROWS_HEADER } from "../../src/kernels/rows.ts";
import { upload } from "./gpu.ts";

/** A row of a pass, as rows.wgsl has it. */
export interface Row {
  readonly token?: number;
  readonly position: number;
  /** Its sequence's line in the page table. */
  readonly sequence?: number;
  /** Of its keys and values in the cache. Default: its position, as in a cache of one page. */
  readonly place?: number;
}

/** The rows of a pass. Drawn are those asked for; by default the last one. */
export function uploadRows(
  gpu: Gpu,
  rows: readonly Row[],
  drawn: readonly number[] = [rows.length - 1],
): GPUBuffer {
  const words = rows.flatMap(({ token = 0, position, sequence = 0, place = position }) => [
    token,
    position,
    sequence,
    place,
  ]);
  const header = new Uint32Array(ROWS_HEADER);
  header.set([rows.length, drawn.length, 0, 0, ...drawn]);
  return upload(gpu, new Uint32Array([...header, ...words]));
}

/** `count` rows of one sequence from `position` on. */
export function rowsFrom(position: number, count: number): Row[] {
  return Array.from({ length: count }, (_, i) => ({ position: position + i }));
}

/** What a shape of one sequence needs besides: a cache of one page, whose table has nothing but it. */
export function onePage(shape: Omit<AttentionShape, "page" | "pages">): AttentionShape {
  return { ...shape, page: shape.context, pages: 1 };
}
