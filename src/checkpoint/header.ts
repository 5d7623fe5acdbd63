import { CheckpointError } from "../errors.ts";
import { show } from "../show.ts";
import { type Dtype, rowsOf, type TensorInfo } from "./checkpoint.ts";
import { ELEMENT_BYTES, isDtype, toWords, widen } from "./dtype.ts";
import { isObject, type JsonObject, parseObject } from "./json.ts";
import { type ByteSource, decodeText } from "./source.ts";

/** Longest header that is believed: a thousand tensors take about 100 KB. JSON may need 50 times its length. */
const HEADER_LIMIT = 4 * 1024 * 1024;
const DIMENSION_LIMIT = 8;

/** Element types that a header may name: those of `Dtype`, and those that packed matrices are stored in. */
export const STORED_BYTES = { ...ELEMENT_BYTES, U32: 4, I8: 1, U8: 1 } as const;
export type StoredDtype = keyof typeof STORED_BYTES;

/** A tensor's place in a safetensors file. */
export interface Entry {
  readonly name: string;
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
  /** Bytes from the start of the file. */
  readonly offset: number;
  readonly bytes: number;
}

export interface Header {
  readonly metadata: ReadonlyMap<string, string>;
  readonly entries: ReadonlyMap<string, Entry>;
}

/**
 * The header of a safetensors file: a u64 length, that many bytes of JSON, then the tensors without gap or overlap.
 * @throws CheckpointError for anything else, before the length of a tensor is believed.
 */
export async function readHeader(source: ByteSource): Promise<Header> {
  const { name: file, size } = source;
  if (size < 8) throw new CheckpointError(`${file} has ${size} bytes, too few for a safetensors file.`);
  const start = await source.read(0, 8);
  const length = Number(new DataView(start.buffer, start.byteOffset).getBigUint64(0, true));
  if (length > size - 8) {
    throw new CheckpointError(
      `${file} announces a header of ${length} bytes and has ${size - 8} after that number: it is cut short or ` +
        `not a safetensors file, so fetch it again.`,
    );
  }
  if (length > HEADER_LIMIT) {
    throw new CheckpointError(
      `${file} announces a header of ${length} bytes; at most ${HEADER_LIMIT} are believed. It is not a safetensors file.`,
    );
  }
  const text = decodeText(await source.read(8, length), `The header of ${file}`);
  const json = parseObject(text, `The header of ${file}`);
  const metadata = new Map<string, string>();
  const entries = new Map<string, Entry>();
  for (const [name, value] of Object.entries(json)) {
    if (!isObject(value)) {
      throw new CheckpointError(
        `The header of ${file} describes ${show(name)} by ${typeof value}; wanted an object.`,
      );
    }
    if (name === "__metadata__") {
      for (const [key, text] of Object.entries(value)) {
        if (typeof text !== "string") {
          throw new CheckpointError(
            `The header of ${file} has ${show(key)} in its __metadata__ as ${show(text)}; wanted a string.`,
          );
        }
        metadata.set(key, text);
      }
    } else entries.set(name, parseEntry(file, name, value, 8 + length));
  }
  checkCoverage(file, entries, 8 + length, size);
  return { metadata, entries };
}

function parseEntry(file: string, name: string, value: JsonObject, dataStart: number): Entry {
  const { dtype, shape, data_offsets: offsets } = value;
  const what = `${file} holds the tensor ${show(name)}`;
  if (!isStored(dtype)) {
    throw new CheckpointError(`${what} with the dtype ${show(dtype)}; wanted F32, F16 or BF16.`);
  }
  if (!isSizes(shape) || shape.length > DIMENSION_LIMIT) {
    throw new CheckpointError(
      `${what} with the shape ${show(shape)}; wanted a list of at most ${DIMENSION_LIMIT} sizes.`,
    );
  }
  if (!isSizes(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!) {
    throw new CheckpointError(`${what} at data_offsets ${show(offsets)}; wanted [begin, end] in bytes.`);
  }
  const [begin, end] = offsets as [number, number];
  const bytes = shape.reduce((product, size) => product * size, STORED_BYTES[dtype]);
  if (bytes !== end - begin) {
    throw new CheckpointError(
      `${what} of ${dtype} [${shape}], which takes ${bytes} bytes, at data_offsets [${offsets}], which are ${end - begin}.`,
    );
  }
  return { name, dtype, shape, offset: dataStart + begin, bytes };
}

/** The format's own rule, which also stops two tensors from sharing bytes: every byte belongs to one tensor. */
function checkCoverage(
  file: string,
  entries: ReadonlyMap<string, Entry>,
  dataStart: number,
  size: number,
): void {
  let covered = dataStart;
  let previous = "the header";
  for (const entry of [...entries.values()].sort((a, b) => a.offset - b.offset || a.bytes - b.bytes)) {
    const { name, offset, bytes } = entry;
    if (offset < covered) {
      throw new CheckpointError(
        `${file} holds ${show(name)} from byte ${offset}, inside ${previous}, which ends at ${covered}: tensors overlap.`,
      );
    }
    if (offset > covered) {
      throw new CheckpointError(
        `${file} has ${offset - covered} bytes between ${previous} and ${show(name)} that belong to no tensor.`,
      );
    }
    if (offset + bytes > size) {
      throw new CheckpointError(
        `${file} holds ${show(name)} up to byte ${offset + bytes} and ends at ${size}: it is cut short, so fetch it again.`,
      );
    }
    covered = offset + bytes;
    previous = show(name);
  }
  if (covered !== size) {
    throw new CheckpointError(
      `${file} has ${size - covered} bytes after ${previous} that belong to no tensor.`,
    );
  }
}

function isStored(dtype: unknown): dtype is StoredDtype {
  return typeof dtype === "string" && Object.hasOwn(STORED_BYTES, dtype);
}

function isSizes(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

/** @throws CheckpointError when the entry is of none of the types in `Dtype`. */
export function plainTensor(source: ByteSource, { name, dtype, shape }: Entry): TensorInfo {
  if (isDtype(dtype)) return { name, dtype, shape };
  throw new CheckpointError(
    `${source.name} holds the tensor ${show(name)} with the dtype ${dtype}; wanted F32, F16 or BF16.`,
  );
}

/** Rows of an entry that plainTensor() accepts. */
export async function readPlain(
  source: ByteSource,
  entry: Entry,
  first: number,
  count: number,
): Promise<Float32Array> {
  return widen(entry.dtype as Dtype, await readBytes(source, entry, first, count));
}

/** Rows of an entry as halves, or undefined when it is not of F16. */
export async function readPlainHalves(
  source: ByteSource,
  entry: Entry,
  first: number,
  count: number,
): Promise<Uint16Array | undefined> {
  return entry.dtype === "F16" ? toWords(await readBytes(source, entry, first, count)) : undefined;
}

function readBytes(
  source: ByteSource,
  { dtype, shape, offset }: Entry,
  first: number,
  count: number,
): Promise<Uint8Array> {
  const rowBytes = rowsOf(shape).columns * STORED_BYTES[dtype];
  return source.read(offset + first * rowBytes, count * rowBytes);
}
