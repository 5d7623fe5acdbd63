import { CheckpointError } from "../errors.ts";
import { GROUP_SIZE, STORED, scalesOf, storedBytes, WEIGHT_FORMATS, type WeightFormat } from "../stored.ts";
import { type Checkpoint, checkRows, findTensor, type TensorInfo } from "./checkpoint.ts";
import { type Entry, type Header, plainTensor, readPlain, STORED_BYTES } from "./header.ts";
import type { ByteSource } from "./source.ts";

/** What a packed file says of itself: `format` in its metadata, and the version that this code writes and reads. */
const PACKED = "ziya-webgpu";
const PACKED_VERSION = "2";
/** Had other layouts of q8 and q4, and q4a. */
const EARLIER_VERSION = "1";
/**
 * A matrix `x` [N, K] is the entry `x` of its words, [N, K weights], and the entry `x.scales`, [N, whole blocks]. The bytes
 * are those of `PackedRows`, so that they go to the GPU as they are.
 */
export const SCALES = ".scales";

/**
 * How the matrices of a file are packed; undefined when it is a plain safetensors file.
 * @throws CheckpointError when it was packed by a version that this one does not know.
 */
export function packingOf({ metadata }: Header, file: string): WeightFormat | undefined {
  if (metadata.get("format") !== PACKED) return undefined;
  const [version, weights] = [metadata.get("version"), metadata.get("weights")];
  const format = PACKED_FORMATS.find((name) => name === weights);
  if (version === PACKED_VERSION && format) return format;
  const advice = version === EARLIER_VERSION ? "convert" : "update ziya-webgpu, or convert";
  throw new CheckpointError(
    `${file} is packed as ${weights} in version ${version} of the format; this release reads version ` +
      `${PACKED_VERSION} of ${PACKED_FORMATS.join(", ")}: ${advice} the model again.`,
  );
}

/** The formats that no other reader knows: those with scales. */
const PACKED_FORMATS: readonly WeightFormat[] = WEIGHT_FORMATS.filter((format) => scalesOf(format));

/** What the metadata of a safetensors file says of matrices in a format, as strings. */
export function packingMetadata(format: WeightFormat): Readonly<Record<string, string>> | undefined {
  return scalesOf(format) && { format: PACKED, version: PACKED_VERSION, weights: format };
}

/**
 * A packed file as a checkpoint.
 * @throws CheckpointError when words and scales of a matrix do not fit each other.
 */
export function packedCheckpoint(source: ByteSource, { entries }: Header, format: WeightFormat): Checkpoint {
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
    tensors.set(name, { name, dtype: format, shape: matrixShape(source, format, entry, scales) });
    matrices.set(name, { words: entry, scales });
  }

  const checkpoint: Checkpoint = {
    name: source.name,
    tensors,
    async readRows(name, first, count) {
      checkRows(findTensor(checkpoint, name), first, count);
      if (!matrices.has(name)) return readPlain(source, entries.get(name)!, first, count);
      throw new CheckpointError(
        `${name} in ${source.name} is packed as ${format}, and its exact weights are not there: load it as ` +
          `${format}, or take the checkpoint it was converted from.`,
      );
    },
    packed: {
      format,
      async readRows(name, first, count) {
        checkRows(findTensor(checkpoint, name), first, count);
        const matrix = matrices.get(name);
        if (!matrix) throw new CheckpointError(`${name} in ${source.name} is not packed.`);
        const [words, scales] = await Promise.all([
          readWords(source, matrix.words, first, count),
          readWords(source, matrix.scales, first, count),
        ]);
        expectFiniteScales(source, format, matrix.scales, scales, first);
        return { words, scales };
      },
    },
  };
  return checkpoint;
}

/** The shape of a matrix by that of its words. */
function matrixShape(
  source: ByteSource,
  format: WeightFormat,
  words: Entry,
  scales: Entry,
): readonly number[] {
  const [rows = 0, width = 0] = words.shape;
  const columns = width * weightsPerElement(format);
  const wanted = scalesOf(format)!;
  const fit =
    words.dtype === STORED[format].words &&
    scales.dtype === wanted.dtype &&
    words.shape.length === 2 &&
    columns % GROUP_SIZE === 0 &&
    String(scales.shape) === String([rows, scalesPerRow(format, columns)]);
  if (fit) return [rows, columns];
  throw new CheckpointError(
    `${source.name} holds ${words.name} as ${words.dtype} [${words.shape}] with scales ${scales.dtype} [${scales.shape}], ` +
      `which is no ${format} matrix: convert the model again.`,
  );
}

/** Elements of the scales of a row, of a format that has them. */
export function scalesPerRow(format: WeightFormat, columns: number): number {
  return storedBytes(format, 1, columns).scales / STORED_BYTES[scalesOf(format)!.dtype];
}

/** Weights in one element of a format's words. */
export function weightsPerElement(format: WeightFormat): number {
  const { words, bits } = STORED[format];
  return (8 * STORED_BYTES[words]) / bits;
}

/** Of a half's bits, those that are all set in infinity and NaN: its exponent. */
const INFINITE = 0x7c00;

/**
 * What packing sees to for other checkpoints: a scale that is not finite makes all its weights so.
 * @throws CheckpointError
 */
function expectFiniteScales(
  source: ByteSource,
  format: WeightFormat,
  { name, shape, dtype }: Entry,
  words: Uint32Array,
  first: number,
): void {
  const { u32s } = scalesOf(format)!;
  const perRow = (shape[1]! * STORED_BYTES[dtype]) / 4;
  const at = words.findIndex(
    (pair, i) =>
      i % u32s === 0 && ((pair & INFINITE) === INFINITE || ((pair >>> 16) & INFINITE) === INFINITE),
  );
  if (at < 0) return;
  throw new CheckpointError(
    `${name} in ${source.name}: A scale at row ${first + Math.floor(at / perRow)} is no finite number of ${format}: ` +
      `the file is damaged, so fetch or convert it again.`,
  );
}

/** Rows as u32, of which each begins on one. */
async function readWords(
  source: ByteSource,
  entry: Entry,
  first: number,
  count: number,
): Promise<Uint32Array> {
  const rowBytes = entry.bytes / Math.max(1, entry.shape[0]!);
  const bytes = await source.read(entry.offset + first * rowBytes, count * rowBytes);
  // A view must begin on a multiple of four, and what a source hands out need not.
  const { buffer, byteOffset } = bytes.byteOffset % 4 === 0 ? bytes : new Uint8Array(bytes);
  return new Uint32Array(buffer, byteOffset, bytes.length / 4);
}
