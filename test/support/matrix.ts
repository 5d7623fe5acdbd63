import type { Gpu } from "../../src/gpu/device.ts";
import { allocateMatrix, type Matrix } from "../../src/kernels/matrix.ts";
import { packRows, unpackRows } from "../../src/quantize/pack.ts";
import { storedBytes, type WeightFormat } from "../../src/stored.ts";

/** A matrix on the GPU, and the float32 values that its stored form stands for. */
export function storeMatrix(
  gpu: Gpu,
  format: WeightFormat,
  values: Float32Array,
  columns: number,
): { matrix: Matrix; stored: Float32Array } {
  const rows = values.length / columns;
  const matrix = allocateMatrix(gpu, `${format} [${rows}, ${columns}]`, format, rows, columns);
  const packed = packRows(format, values, columns);
  for (const { firstRow, rows: count, weight, scales } of matrix.slabs) {
    const from = storedBytes(format, firstRow, columns);
    const size = storedBytes(format, count, columns);
    const { queue } = gpu.device;
    queue.writeBuffer(
      weight.buffer,
      weight.offset,
      packed.words as Uint32Array<ArrayBuffer>,
      from.words / 4,
      size.words / 4,
    );
    if (scales)
      queue.writeBuffer(
        scales.buffer,
        scales.offset,
        packed.scales as Uint32Array<ArrayBuffer>,
        from.scales / 4,
        size.scales / 4,
      );
  }
  return { matrix, stored: unpackRows(format, packed, rows, columns) };
}
