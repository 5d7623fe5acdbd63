import type { Gpu } from "../../src/gpu/device.ts";
import type { AttentionShape } from "../../src/kernels/cache.ts";
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

/** The rows of a pass, of which the last is the one whose logits are asked for. */
export function uploadRows(gpu: Gpu, rows: readonly Row[]): GPUBuffer {
  const words = rows.flatMap(({ token = 0, position, sequence = 0, place = position }) => [
    token,
    position,
    sequence,
    place,
  ]);
  return upload(gpu, new Uint32Array([rows.length, rows.length - 1, 0, 0, ...words]));
}

/** `count` rows of one sequence from `position` on. */
export function rowsFrom(position: number, count: number): Row[] {
  return Array.from({ length: count }, (_, i) => ({ position: position + i }));
}

/** What a shape of one sequence needs besides: a cache of one page, whose table has nothing but it. */
export function onePage(shape: Omit<AttentionShape, "page" | "pages">): AttentionShape {
  return { ...shape, page: shape.context, pages: 1 };
}
