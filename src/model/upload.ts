import { type Checkpoint, describeTensor, expectFinite } from "../checkpoint/checkpoint.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Part } from "../gpu/part.ts";
import type { Slab } from "../kernels/matrix.ts";
import { packHalves, packRows } from "../quantize/pack.ts";
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
/**
 * Blocks that are read while one is uploaded: as many as a browser asks of a server at once. With that one they are what
 * host memory holds, at most 10 MiB each with their scales.
 */
const BLOCKS_AHEAD = 6;
/** Uploads that may wait in the queue before loading pauses for them, in bytes. */
const UPLOAD_WINDOW = 64 << 20;

/** Rows of a tensor, and where they go. */
interface Block {
  readonly name: string;
  readonly first: number;
  readonly count: number;
  readonly columns: number;
  /** Undefined for a vector, which is one block of float32. */
  readonly format?: WeightFormat;
  readonly to: Pick<Slab, "weight" | "scales">;
  /** Where they begin there, in bytes. */
  readonly offset: { readonly words: number; readonly scales: number };
}

/**
 * Reads every tensor of a model and uploads it, a few blocks of rows at a time and in order: host memory holds blocks,
 * not a tensor. Matrices are packed on the way, or uploaded as they are where the checkpoint has them as they are to be
 * stored. The checkpoint's shapes are the model's: whoever allocated the weights has seen to that.
 */
export async function uploadWeights(
  gpu: Gpu,
  weights: Weights,
  checkpoint: Checkpoint,
  options: UploadOptions = {},
): Promise<void> {
  const total = [...stacks(weights)]
    .flatMap(({ names }) => names)
    .reduce((sum, name) => sum + checkpoint.tensors.get(name)!.shape.reduce((a, b) => a * b), 0);
  const upload = uploader(gpu);
  const read = (block: Block) => readBlock(checkpoint, block, options.importance);
  let loaded = 0;
  for await (const [block, { words, scales }] of readAhead(blocksOf(weights, checkpoint), read)) {
    await upload(block.to.weight, block.offset.words, words);
    if (block.to.scales && scales) await upload(block.to.scales, block.offset.scales, scales);
    options.signal?.throwIfAborted();
    loaded += block.count * block.columns;
    options.onProgress?.(loaded, total);
  }
}

/** All blocks of a model, in the order of the forward pass; a stack's tensors follow each other by rows. */
function* blocksOf(weights: Weights, checkpoint: Checkpoint): Generator<Block> {
  const rowsOf = (name: string) => checkpoint.tensors.get(name)!.shape[0]!;
  const start = { words: 0, scales: 0 };
  for (const stack of stacks(weights)) {
    if ("vector" in stack) {
      const [name] = stack.names;
      yield { name, first: 0, count: rowsOf(name), columns: 1, to: { weight: stack.vector }, offset: start };
      continue;
    }
    const { slabs, format, columns } = stack.matrix;
    const rowBytes = checkpoint.packed ? storedBytes(format, 1, columns).words : 4 * columns;
    const block = Math.max(1, Math.floor(BLOCK_BYTES / rowBytes));
    let at = 0;
    for (const name of stack.names) {
      const rows = rowsOf(name);
      for (let first = 0; first < rows; ) {
        const slab = slabs.find(({ firstRow, rows }) => at < firstRow + rows)!;
        const count = Math.min(block, rows - first, slab.firstRow + slab.rows - at);
        const offset = storedBytes(format, at - slab.firstRow, columns);
        yield { name, first, count, columns, format, to: slab, offset };
        first += count;
        at += count;
      }
    }
  }
}

/** Each block with what `read` gives for it, in order; those behind it are being read meanwhile. */
async function* readAhead<T>(
  blocks: Iterable<Block>,
  read: (block: Block) => Promise<T>,
): AsyncGenerator<[Block, T]> {
  const ahead: [Block, Promise<T>][] = [];
  const next = async (): Promise<[Block, T]> => {
    const [block, rows] = ahead.shift()!;
    return [block, await rows];
  };
  for (const block of blocks) {
    const rows = read(block);
    // A failure is told in the block's turn, which does not come when one before it fails as well.
    rows.catch(() => undefined);
    ahead.push([block, rows]);
    if (ahead.length > BLOCKS_AHEAD) yield next();
  }
  while (ahead.length > 0) yield next();
}

async function readBlock(
  checkpoint: Checkpoint,
  { name, first, count, columns, format }: Block,
  importance: Importance | undefined,
): Promise<PackedRows> {
  const tensor = describeTensor(checkpoint, name);
  if (format === undefined) {
    const values = await checkpoint.readRows(name, first, count);
    expectFinite(tensor, values);
    return { words: new Uint32Array(values.buffer, values.byteOffset, values.length) };
  }
  if (checkpoint.packed) return checkpoint.packed.readRows(name, first, count);
  const halves = format === "f16" ? await checkpoint.readHalves?.(name, first, count) : undefined;
  if (halves) return packHalves(halves, columns, { tensor, first });
  const rows = await checkpoint.readRows(name, first, count);
  return packRows(format, rows, columns, importance?.get(name), { tensor, first });
}

/** Writes to buffers, and waits for the adapter where too much is on its way. */
function uploader(gpu: Gpu): (part: Part, offset: number, data: Uint32Array) => Promise<void> {
  let queued = 0;
  return async (part, offset, data) => {
    const { queue } = gpu.device;
    queue.writeBuffer(part.buffer, part.offset + offset, data as Uint32Array<ArrayBuffer>);
    queued += data.byteLength;
    if (queued < UPLOAD_WINDOW) return;
    queue.submit([]);
    await gpu.finished();
    queued = 0;
  };
}
