import { type Checkpoint, describeTensor, expectFinite } from "../checkpoint/checkpoint.ts";
import type { Importance } from "../model/calibrate.ts";
import { packRows } from "../quantize/pack.ts";
import type { FinishedShard } from "./journal-file.ts";
import type { FileSum, Sha256 } from "./manifest.ts";
import type { OutputFolder } from "./output.ts";
import { blocksOf, type PlannedShard, type ReadBlock, shardBytes } from "./plan.ts";
import { addErrors, NO_ERROR, type QuantisationError, quantisationError } from "./report.ts";

interface ShardOptions {
  /** By tensor, for packRows(). */
  readonly importance?: Importance | undefined;
  createSha256(): Sha256;
  /** Is told the name of a tensor and how many of its weights were read. */
  onRead(tensor: string, weights: number): void;
}

/**
 * Reads, packs and writes one shard; it has its name in the folder only when it is complete and on the disk.
 * @throws CheckpointError for what cannot be read or packed, StorageError for what cannot be written.
 */
export async function writeShard(
  checkpoint: Checkpoint,
  shard: PlannedShard,
  folder: OutputFolder,
  { importance, createSha256, onRead }: ShardOptions,
): Promise<FinishedShard> {
  const readRows = readAhead(checkpoint, shard);
  const errors: Record<string, QuantisationError> = {};
  const read: ReadBlock = async ({ name, columns, format }, first) => {
    const rows = await readRows();
    onRead(name, rows.length);
    const place = { tensor: describeTensor(checkpoint, name), first };
    if (columns === 1) {
      expectFinite(place.tensor, rows);
      return { words: new Uint32Array(rows.buffer, rows.byteOffset, rows.length) };
    }
    const packed = packRows(format, rows, columns, importance?.get(name), place);
    errors[name] = addErrors(errors[name] ?? NO_ERROR, quantisationError(format, rows, packed, columns));
    return packed;
  };

  const file = await folder.create(shard.file);
  const sha256 = createSha256();
  try {
    for await (const bytes of shardBytes(shard, read)) {
      const writing = file.write(bytes);
      sha256.update(bytes);
      await writing;
    }
    await file.finish();
  } catch (error) {
    await file.discard();
    throw error;
  }
  const sum: FileSum = { name: shard.file, size: shard.size, sha256: sha256.hex() };
  return { sum, errors };
}

/** The rows of a shard's blocks, one after another; the next are being read while these are packed. */
function readAhead(checkpoint: Checkpoint, shard: PlannedShard): () => Promise<Float32Array> {
  const blocks = blocksOf(shard).values();
  const begin = () => {
    const { value: block } = blocks.next();
    const rows = block && checkpoint.readRows(block.tensor.name, block.first, block.count);
    // Whoever asks for these rows hears of the failure; until then it is nobody's.
    rows?.catch(() => {});
    return rows;
  };
  let next = begin();
  return async () => {
    const rows = await next!;
    next = begin();
    return rows;
  };
}
