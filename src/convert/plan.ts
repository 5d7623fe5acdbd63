import { rowsOf, type TensorInfo } from "../checkpoint/checkpoint.ts";
import { STORED_BYTES, type StoredDtype } from "../checkpoint/header.ts";
import { packingMetadata, SCALES, scalesPerRow, weightsPerElement } from "../checkpoint/packed.ts";
import { CheckpointError } from "../errors.ts";
import { GROUP_SIZE, STORED, scalesOf, type WeightFormat } from "../stored.ts";

/** What a shard holds at most, unless one tensor alone is larger. */
export const SHARD_BYTES = 256 * 1024 * 1024;

/** Weights that are asked for at a time, about: 8 MiB as float32. */
const BLOCK_WEIGHTS = 2 * 1024 * 1024;

interface PlannedTensor {
  readonly name: string;
  readonly rows: number;
  /** 1 for a vector, which is written as f32 whatever the matrices are. */
  readonly columns: number;
  readonly format: WeightFormat;
}

/** A safetensors file before its tensors are read: everything but their bytes. */
export interface PlannedShard {
  readonly file: string;
  /** In bytes, header included. */
  readonly size: number;
  readonly header: Uint8Array;
  readonly tensors: readonly PlannedTensor[];
}

/** Rows [first, first + count) of a tensor. */
interface Block {
  readonly tensor: PlannedTensor;
  readonly first: number;
  readonly count: number;
}

/** Rows of a tensor in its format; `scales` where the format has them. */
export type ReadBlock = (
  tensor: PlannedTensor,
  first: number,
  count: number,
) => Promise<{ readonly words: Uint32Array; readonly scales?: Uint32Array }>;

interface PlannedEntry {
  readonly name: string;
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
  readonly bytes: number;
}

/**
 * How tensors are laid out in shards: the same for the same tensors, so that a conversion that was stopped goes on where it was.
 * @throws CheckpointError for a tensor that is neither vector nor matrix, or a packed matrix whose columns are no multiple
 * of 32.
 */
export function planShards(
  tensors: Iterable<TensorInfo>,
  format: WeightFormat,
  shardBytes: number = SHARD_BYTES,
): PlannedShard[] {
  const shards: { tensors: PlannedTensor[]; entries: PlannedEntry[]; bytes: number }[] = [];
  for (const { name, shape } of tensors) {
    const { rows, columns } = rowsOf(shape);
    if (shape.length < 1 || shape.length > 2) {
      throw new CheckpointError(`${name} has the shape [${shape}]; only vectors and matrices are written.`);
    }
    const tensor = { name, rows, columns, format: shape.length === 1 ? "f32" : format } as const;
    const entries = entriesOf(tensor, shape);
    const bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0);
    let shard = shards.at(-1);
    if (!shard || shard.bytes + bytes > shardBytes) {
      shard = { tensors: [], entries: [], bytes: 0 };
      shards.push(shard);
    }
    shard.tensors.push(tensor);
    shard.entries.push(...entries);
    shard.bytes += bytes;
  }
  return shards.map(({ tensors, entries, bytes }, i) => {
    const header = headerOf(entries, format);
    const [number, count] = [i + 1, shards.length].map((n) => String(n).padStart(5, "0"));
    const file = `model-${number}-of-${count}.safetensors`;
    return { file, size: header.length + bytes, header, tensors };
  });
}

function entriesOf(tensor: PlannedTensor, shape: readonly number[]): PlannedEntry[] {
  const { name, rows, columns, format } = tensor;
  const entry = (name: string, dtype: StoredDtype, shape: readonly number[]): PlannedEntry => {
    return {
      name,
      dtype,
      shape,
      bytes: shape.reduce((product, size) => product * size, STORED_BYTES[dtype]),
    };
  };
  const { words } = STORED[format];
  const scales = scalesOf(format);
  if (!scales) return [entry(name, words, shape)];
  if (columns % GROUP_SIZE !== 0) {
    throw new CheckpointError(
      `${name} has ${columns} columns, which is no multiple of ${GROUP_SIZE}: it cannot be packed as ${format}.`,
    );
  }
  return [
    entry(name, words, [rows, columns / weightsPerElement(format)]),
    entry(name + SCALES, scales.dtype, [rows, scalesPerRow(format, columns)]),
  ];
}

function headerOf(entries: readonly PlannedEntry[], format: WeightFormat): Uint8Array {
  const metadata = packingMetadata(format) ?? { format: "pt" };
  let end = 0;
  const tensors = entries.map(({ name, dtype, shape, bytes }) => {
    end += bytes;
    return [name, { dtype, shape, data_offsets: [end - bytes, end] }];
  });
  const text = JSON.stringify({ __metadata__: metadata, ...Object.fromEntries(tensors) });
  const json = new TextEncoder().encode(text);
  // Spaces bring the tensors to a multiple of 8, as the format's own writer does.
  const header = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - 8), true);
  header.set(json, 8);
  return header;
}

/** The blocks that shardBytes() asks for, in that order. */
export function blocksOf({ tensors }: PlannedShard): Block[] {
  return tensors.flatMap((tensor) => {
    const most = blockRows(tensor.columns);
    return Array.from({ length: Math.ceil(tensor.rows / most) }, (_, i) => {
      return { tensor, first: i * most, count: Math.min(most, tensor.rows - i * most) };
    });
  });
}

/**
 * The bytes of a shard, a block at a time: host memory holds one block and the scales of one matrix.
 * @throws CheckpointError when `read` gives more or less than the plan says.
 */
export async function* shardBytes(shard: PlannedShard, read: ReadBlock): AsyncGenerator<Uint8Array> {
  yield shard.header;
  let written = shard.header.length;
  let scales: Uint8Array[] = [];
  for (const { tensor, first, count } of blocksOf(shard)) {
    const slice = await read(tensor, first, count);
    const words = bytesOf(slice.words);
    yield words;
    written += words.length;
    if (slice.scales) scales.push(bytesOf(slice.scales));
    if (first + count < tensor.rows) continue;
    for (const bytes of scales) {
      yield bytes;
      written += bytes.length;
    }
    scales = [];
  }
  if (written !== shard.size) {
    throw new CheckpointError(
      `${shard.file} became ${written} bytes long and was planned with ${shard.size}.`,
    );
  }
}

/** Rows of a block: about BLOCK_WEIGHTS of them, whatever the width. */
function blockRows(columns: number): number {
  return Math.max(1, Math.floor(BLOCK_WEIGHTS / columns));
}

function bytesOf({ buffer, byteOffset, byteLength }: Uint32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
