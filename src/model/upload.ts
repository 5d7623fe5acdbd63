import { type Checkpoint, describeTensor, expectFinite } from "../checkpoint/checkpoint.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Matrix } from "../kernels/matrix.ts";
import { packRows } from "../quantize/pack.ts";
import { type PackedRows, storedBytes, type WeightFormat } from "../stored.ts";
import type { Importance } from "./calibrate.ts";
import { stacks, type Weights } from "./weights.ts";

interface UploadOptions {
  /** Of columns, by tensor name; tensors that are not in it have columns that are all alike. */
  readonly importance?: Importance | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called as tensors arrive, with parameters loaded and in all. */
  readonly onProgress?: ((loaded: number, total: number) => void) | undefined;
}

/** Bytes of rows, float32 or packed, that are read and uploaded at a time. */
const BLOCK_BYTES = 8 << 20;
/** Rows of a block are a multiple of this, so that scales begin on a u32. */
const BLOCK_ALIGNMENT = 64;
/** Uploads that may wait in the queue before loading pauses for them, in bytes. */
const UPLOAD_WINDOW = 64 << 20;

/**
 * Reads every tensor of a model and uploads it, a block of rows at a time: host memory holds one block, not a tensor.
 * Matrices are packed on the way, or uploaded as they are where the checkpoint has them packed. The checkpoint's shapes
 * are the model's: whoever allocated the weights has seen to that.
 */
export async function uploadWeights(
  gpu: Gpu,
  weights: Weights,
  checkpoint: Checkpoint,
  options: UploadOptions = {},
): Promise<void> {
  const all = [...stacks(weights)];
  const total = all
    .flatMap(({ names }) => names)
    .reduce((sum, name) => sum + checkpoint.tensors.get(name)!.shape.reduce((a, b) => a * b), 0);
  const uploader = new Uploader(gpu, checkpoint, total, options);
  for (const stack of all) {
    if ("vector" in stack) await uploader.vector(stack.vector, stack.names[0]);
    else await uploader.matrix(stack.matrix, stack.names);
  }
}

class Uploader {
  private readonly gpu: Gpu;
  private readonly checkpoint: Checkpoint;
  private readonly options: UploadOptions;
  private readonly total: number;
  private loaded = 0;
  private queued = 0;

  constructor(gpu: Gpu, checkpoint: Checkpoint, total: number, options: UploadOptions) {
    this.gpu = gpu;
    this.checkpoint = checkpoint;
    this.options = options;
    this.total = total;
  }

  async vector(buffer: GPUBuffer, name: string): Promise<void> {
    const values = await this.checkpoint.readRows(name, 0, this.rowsOf(name));
    expectFinite(describeTensor(this.checkpoint, name), values);
    await this.upload(buffer, 0, values);
    this.advance(values.length);
  }

  /** A matrix of the named tensors, stacked by rows. */
  async matrix({ slabs, format, columns }: Matrix, names: readonly string[]): Promise<void> {
    const rowBytes = this.checkpoint.packed ? storedBytes(format, 1, columns).words : 4 * columns;
    const block = Math.max(1, Math.floor(BLOCK_BYTES / rowBytes / BLOCK_ALIGNMENT)) * BLOCK_ALIGNMENT;
    let at = 0;
    for (const name of names) {
      const rows = this.rowsOf(name);
      for (let first = 0; first < rows; ) {
        const slab = slabs.find(({ firstRow, rows }) => at < firstRow + rows)!;
        const count = Math.min(block, rows - first, slab.firstRow + slab.rows - at);
        const { words, scales } = await this.packedRows(name, format, first, count, columns);
        const offset = storedBytes(format, at - slab.firstRow, columns);
        await this.upload(slab.weight, offset.words, words);
        if (slab.scales && scales) await this.upload(slab.scales, offset.scales, scales);
        this.advance(count * columns);
        first += count;
        at += count;
      }
    }
  }

  private rowsOf(name: string): number {
    return this.checkpoint.tensors.get(name)!.shape[0]!;
  }

  private async packedRows(
    name: string,
    format: WeightFormat,
    first: number,
    count: number,
    columns: number,
  ): Promise<PackedRows> {
    const { packed } = this.checkpoint;
    if (packed) return packed.readRows(name, first, count);
    const rows = await this.checkpoint.readRows(name, first, count);
    const place = { tensor: describeTensor(this.checkpoint, name), first };
    return packRows(format, rows, columns, this.options.importance?.get(name), place);
  }

  private async upload(buffer: GPUBuffer, offset: number, data: Float32Array | Uint32Array): Promise<void> {
    const { queue } = this.gpu.device;
    queue.writeBuffer(buffer, offset, data as Uint32Array<ArrayBuffer>);
    this.queued += data.byteLength;
    if (this.queued < UPLOAD_WINDOW) return;
    queue.submit([]);
    await this.gpu.finished();
    this.queued = 0;
  }

  private advance(parameters: number): void {
    this.options.signal?.throwIfAborted();
    this.loaded += parameters;
    this.options.onProgress?.(this.loaded, this.total);
  }
}
