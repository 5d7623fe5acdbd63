import { CheckpointError } from "../errors.ts";
import { type Checkpoint, checkRows, findTensor, type PackedFormat, type TensorInfo } from "./checkpoint.ts";
import { type Entry, type Header, plainTensor, readPlain, type StoredDtype } from "./header.ts";
import type { ByteSource } from "./source.ts";

/** What a packed file says of itself: `format` in its metadata, and the version that this code writes and reads. */
export const PACKED = "ziya-webgpu";
export const PACKED_VERSION = "1";
/** A matrix `x` is the entry `x`, its words byte by byte, and the entry `x.scales`. */
export const SCALES = ".scales";

/**
 * How a matrix [N, K] is stored: words as [N, K / weightsPerByte] bytes, scales as [N, K / group] numbers of 16 bits. The
 * bytes are those of `PackedRows`, so that they go to the GPU as they are; only the padding of odd scales is left out.
 */
export interface Packing {
  readonly format: PackedFormat;
  readonly words: StoredDtype;
  readonly weightsPerByte: number;
  readonly scales: StoredDtype;
  readonly group: number;
  /** The bits that a scale which is not finite has set: the exponent. */
  readonly infinite: number;
}

export const PACKINGS: Readonly<Record<PackedFormat, Packing>> = {
  q8: { format: "q8", words: "I8", weightsPerByte: 1, scales: "F16", group: 32, infinite: 0x7c00 },
  q4a: { format: "q4a", words: "U8", weightsPerByte: 2, scales: "U16", group: 16, infinite: 0x1f0 },
  q4: { format: "q4", words: "U8", weightsPerByte: 2, scales: "F16", group: 32, infinite: 0x7c00 },
};

/**
 * How the matrices of a file are packed; undefined when it is a plain safetensors file.
 * @throws CheckpointError when it was packed by a version that this one does not know.
 */
export function packingOf({ metadata }: Header, file: string): Packing | undefined {
  if (metadata.get("format") !== PACKED) return undefined;
  const [version, weights] = [metadata.get("version"), metadata.get("weights")];
  if (version === PACKED_VERSION && isPackedFormat(weights)) return PACKINGS[weights];
  throw new CheckpointError(
    `${file} is packed as ${weights} in version ${version} of the format; this release reads version ` +
      `${PACKED_VERSION} of ${Object.keys(PACKINGS).join(", ")}: update ziya-webgpu, or convert again.`,
  );
}

export function isPackedFormat(format: string | undefined): format is PackedFormat {
  return format !== undefined && Object.hasOwn(PACKINGS, format);
}

/**
 * A packed file as a checkpoint.
 * @throws CheckpointError when words and scales of a matrix do not fit each other.
 */
export function packedCheckpoint(source: ByteSource, { entries }: Header, packing: Packing): Checkpoint {
  const tensors = new Map<string, TensorInfo>();
  const matrices = new Map<string, { words: Entry; scales: Entry }>();
  for (const entry of entries.values()) {
    const { name } = entry;
    if (name.endsWith(SCALES)) {
      if (entries.has(name.slice(0, -SCALES.length))) continue;
      throw new CheckpointError(`${source.name} holds ${name} without its matrix: convert the model again.`);
    }
    const scales = entries.get(name + SCALES);
    if (!scales) {
      tensors.set(name, plainTensor(source, entry));
      continue;
    }
    tensors.set(name, { name, dtype: packing.format, shape: matrixShape(source, packing, entry, scales) });
    matrices.set(name, { words: entry, scales });
  }

  const checkpoint: Checkpoint = {
    name: source.name,
    tensors,
    async readRows(name, first, count) {
      checkRows(findTensor(checkpoint, name), first, count);
      if (!matrices.has(name)) return readPlain(source, entries.get(name)!, first, count);
      throw new CheckpointError(
        `${name} in ${source.name} is packed as ${packing.format}, and its exact weights are not there: load it as ` +
          `${packing.format}, or take the checkpoint it was converted from.`,
      );
    },
    packed: {
      format: packing.format,
      async readRows(name, first, count) {
        checkRows(findTensor(checkpoint, name), first, count);
        const matrix = matrices.get(name);
        if (!matrix) throw new CheckpointError(`${name} in ${source.name} is not packed.`);
        const [words, scales] = await Promise.all([
          readWords(source, matrix.words, first, count),
          readWords(source, matrix.scales, first, count),
        ]);
        expectFiniteScales(source, packing, matrix.scales, scales, first);
        return { words, scales };
      },
    },
  };
  return checkpoint;
}

/** The shape of a matrix by that of its words. */
function matrixShape(source: ByteSource, packing: Packing, words: Entry, scales: Entry): readonly number[] {
  const [rows = 0, bytes = 0] = words.shape;
  const columns = bytes * packing.weightsPerByte;
  const fit =
    words.dtype === packing.words &&
    scales.dtype === packing.scales &&
    words.shape.length === 2 &&
    columns % 32 === 0 &&
    String(scales.shape) === String([rows, columns / packing.group]);
  if (fit) return [rows, columns];
  throw new CheckpointError(
    `${source.name} holds ${words.name} as ${words.dtype} [${words.shape}] with scales ${scales.dtype} [${scales.shape}], ` +
      `which is no ${packing.format} matrix: convert the model again.`,
  );
}

/**
 * What packing sees to for other checkpoints: a scale that is not finite makes all its weights so.
 * @throws CheckpointError
 */
function expectFiniteScales(
  source: ByteSource,
  { format, infinite }: Packing,
  { name, shape }: Entry,
  words: Uint32Array,
  first: number,
): void {
  const at = new Uint16Array(words.buffer, words.byteOffset, words.length * 2).findIndex(
    (bits) => (bits & infinite) === infinite,
  );
  if (at < 0) return;
  throw new CheckpointError(
    `${name} in ${source.name}: A scale at row ${first + Math.floor(at / shape[1]!)} is no finite number of ${format}: ` +
      `the file is damaged, so fetch or convert it again.`,
  );
}

/** Rows as whole u32, the last filled up with zeros. */
async function readWords(
  source: ByteSource,
  entry: Entry,
  first: number,
  count: number,
): Promise<Uint32Array> {
  const rowBytes = entry.bytes / Math.max(1, entry.shape[0]!);
  const bytes = await source.read(entry.offset + first * rowBytes, count * rowBytes);
  if (bytes.byteOffset % 4 === 0 && bytes.length % 4 === 0) {
    return new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
  }
  const words = new Uint32Array(Math.ceil(bytes.length / 4));
  new Uint8Array(words.buffer).set(bytes);
  return words;
}
