import { CheckpointError } from "../errors.ts";
import { show } from "../show.ts";
import { crc32 } from "./crc32.ts";
import { type ByteSource, decodeText } from "./source.ts";

/** An entry that is stored, not compressed: its bytes lie in the file as they are. */
export interface ZipEntry {
  readonly name: string;
  readonly size: number;
  /** None in a file that was written without checksums, as PyTorch does when it is told to. */
  readonly crc32: number | undefined;
  /** Where its local header begins; how long that is only the header itself says. */
  readonly headerOffset: number;
  /** Where the next entry or the directory begins. */
  readonly limit: number;
}

/** Longest directory that is believed: 403 tensors of a 13B model in one file take 40 KB. */
const DIRECTORY_LIMIT = 16 * 1024 * 1024;
/** The end record with the longest comment there can be; it mostly covers the directory too. */
const TAIL = 22 + 65535;
const LOCAL_HEADER = 30;
const ENCRYPTED = 1;

/**
 * The directory of a zip file, from the end of the file: the subset that `torch.save` writes. Compressed and
 * encrypted entries are refused, so that no entry is larger than the bytes it takes.
 * @throws CheckpointError for anything that is not such a file, or whose entries overlap or leave it.
 */
export async function readZip(source: ByteSource): Promise<Map<string, ZipEntry>> {
  const tailStart = Math.max(0, source.size - TAIL);
  const tail = await source.read(tailStart, source.size - tailStart);
  const end = findEnd(source, tail);
  const { count, start, size } = await locateDirectory(source, tail, tailStart, end);
  if (size > DIRECTORY_LIMIT) {
    throw new CheckpointError(
      `The zip directory of ${source.name} has ${size} bytes; at most ${DIRECTORY_LIMIT} are believed.`,
    );
  }
  const directory =
    start >= tailStart
      ? tail.subarray(start - tailStart, start - tailStart + size)
      : await source.read(start, size);
  const entries = withLimits(source.name, parseDirectory(source.name, directory, count), start);
  return new Map(entries.map((entry) => [entry.name, entry]));
}

/**
 * Where an entry's bytes begin.
 * @throws CheckpointError when the local header is not the one that the directory announced.
 */
export async function entryStart(source: ByteSource, entry: ZipEntry): Promise<number> {
  const name = new TextEncoder().encode(entry.name);
  const header = await source.read(entry.headerOffset, LOCAL_HEADER + name.length);
  const view = viewOf(header);
  const same =
    view.getUint32(0, true) === 0x04034b50 &&
    view.getUint16(8, true) === 0 &&
    view.getUint16(26, true) === name.length &&
    name.every((byte, i) => header[LOCAL_HEADER + i] === byte);
  if (!same) {
    throw new CheckpointError(
      `${source.name} has no stored entry ${entry.name} at byte ${entry.headerOffset}, where its directory puts it: ` +
        `the file is damaged, so fetch it again.`,
    );
  }
  const start = entry.headerOffset + LOCAL_HEADER + name.length + view.getUint16(28, true);
  if (start + entry.size > entry.limit) throw overlap(source.name, entry, start);
  return start;
}

/**
 * An entry's bytes, whole, held to the checksum of the directory.
 * @throws CheckpointError when they have another checksum or are more than `limit`.
 */
export async function readEntry(source: ByteSource, entry: ZipEntry, limit: number): Promise<Uint8Array> {
  if (entry.size > limit) {
    throw new CheckpointError(
      `${entry.name} in ${source.name} has ${entry.size} bytes; at most ${limit} are believed.`,
    );
  }
  const bytes = await source.read(await entryStart(source, entry), entry.size);
  if (entry.crc32 !== undefined && crc32(bytes) !== entry.crc32) throw damagedEntry(source, entry);
  return bytes;
}

/** The error for an entry whose bytes have another checksum than the directory gives. */
export function damagedEntry(source: ByteSource, { name }: ZipEntry): CheckpointError {
  return new CheckpointError(
    `${name} in ${source.name} does not have the checksum that the file's directory gives: the file is damaged, so ` +
      `fetch it again.`,
  );
}

/** The index in `tail` of the record that ends the file. */
function findEnd(source: ByteSource, tail: Uint8Array): number {
  const view = viewOf(tail);
  for (let at = tail.length - 22; at >= 0; at--) {
    if (view.getUint32(at, true) !== 0x06054b50) continue;
    if (at + 22 + view.getUint16(at + 20, true) === tail.length) return at;
  }
  throw new CheckpointError(
    `${source.name} does not end as a zip file does: it is cut short or of another kind, so fetch it again.`,
  );
}

async function locateDirectory(
  source: ByteSource,
  tail: Uint8Array,
  tailStart: number,
  end: number,
): Promise<{ count: number; start: number; size: number }> {
  const view = viewOf(tail);
  let [disk, count, size, start] = [
    view.getUint16(end + 4, true),
    view.getUint16(end + 10, true),
    view.getUint32(end + 12, true),
    view.getUint32(end + 16, true),
  ];
  let stop = tailStart + end;
  if (end >= 20 && view.getUint32(end - 20, true) === 0x07064b50) {
    // Zip64: a locator stands before the end record and says where the larger record is.
    const at = toNumber(source, view.getBigUint64(end - 12, true));
    const record = viewOf(await source.read(at, 56));
    if (record.getUint32(0, true) !== 0x06064b50) {
      throw new CheckpointError(`${source.name} has no zip64 record at byte ${at}, where its end puts it.`);
    }
    const [count64, size64, start64] = [32, 40, 48].map((field) =>
      toNumber(source, record.getBigUint64(field, true)),
    ) as [number, number, number];
    const contradiction =
      (count !== 0xffff && count !== count64) ||
      (size !== 0xffffffff && size !== size64) ||
      (start !== 0xffffffff && start !== start64);
    if (contradiction)
      throw new CheckpointError(`The two end records of ${source.name} contradict each other.`);
    disk = record.getUint32(16, true);
    [count, size, start, stop] = [count64, size64, start64, at];
  }
  if (disk !== 0)
    throw new CheckpointError(`${source.name} is one part of a split zip file; join the parts.`);
  if (start + size !== stop) {
    throw new CheckpointError(
      `The zip directory of ${source.name} should be ${size} bytes at ${start}, and what follows it begins at ${stop}.`,
    );
  }
  return { count, start, size };
}

function parseDirectory(file: string, directory: Uint8Array, count: number): Omit<ZipEntry, "limit">[] {
  const view = viewOf(directory);
  const entries: Omit<ZipEntry, "limit">[] = [];
  const names = new Set<string>();
  let at = 0;
  while (at < directory.length) {
    if (at + 46 > directory.length || view.getUint32(at, true) !== 0x02014b50) {
      throw new CheckpointError(`The zip directory of ${file} is damaged after ${entries.length} entries.`);
    }
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((field) =>
      view.getUint16(at + field, true),
    ) as [number, number, number];
    const extraStart = at + 46 + nameLength;
    const next = extraStart + extraLength + commentLength;
    if (next > directory.length) {
      throw new CheckpointError(`The zip directory of ${file} is damaged after ${entries.length} entries.`);
    }
    const name = decodeText(directory.subarray(at + 46, extraStart), `A file name in ${file}`);
    const entry = parseEntry(file, name, view, at, directory.subarray(extraStart, extraStart + extraLength));
    if (names.has(name)) throw new CheckpointError(`${file} holds ${show(name)} twice.`);
    names.add(name);
    entries.push(entry);
    at = next;
  }
  if (entries.length !== count) {
    throw new CheckpointError(
      `The zip directory of ${file} announces ${count} entries and has ${entries.length}.`,
    );
  }
  return entries;
}

function parseEntry(
  file: string,
  name: string,
  view: DataView,
  at: number,
  extra: Uint8Array,
): Omit<ZipEntry, "limit"> {
  const [flags, method] = [view.getUint16(at + 8, true), view.getUint16(at + 10, true)];
  if (flags & ENCRYPTED) throw new CheckpointError(`${show(name)} in ${file} is encrypted.`);
  const [compressed, size, headerOffset] = zip64Fields(
    file,
    [view.getUint32(at + 20, true), view.getUint32(at + 24, true), view.getUint32(at + 42, true)],
    extra,
  );
  if (method !== 0 || compressed !== size) {
    throw new CheckpointError(
      `${show(name)} in ${file} is compressed (method ${method}); PyTorch stores tensors as they are, so this file ` +
        `was packed again: unpack it and use the file inside.`,
    );
  }
  return { name, size, headerOffset, crc32: view.getUint32(at + 16, true) };
}

/** Compressed size, size and offset, taken from the zip64 extra field where they do not fit 32 bits. */
function zip64Fields(
  file: string,
  [compressed, size, offset]: [number, number, number],
  extra: Uint8Array,
): [number, number, number] {
  const view = viewOf(extra);
  let field = 0;
  while (field + 4 <= extra.length && view.getUint16(field, true) !== 1)
    field += 4 + view.getUint16(field + 2, true);
  const fieldEnd = field + 4 <= extra.length ? field + 4 + view.getUint16(field + 2, true) : 0;
  let at = field + 4;
  const wide = (narrow: number): number => {
    if (narrow !== 0xffffffff) return narrow;
    if (at + 8 > Math.min(fieldEnd, extra.length)) {
      throw new CheckpointError(`An entry of ${file} needs a zip64 field and has none: the file is damaged.`);
    }
    at += 8;
    return Number(view.getBigUint64(at - 8, true));
  };
  // The field holds only the numbers that need it, the uncompressed size first.
  const wideSize = wide(size);
  return [wide(compressed), wideSize, wide(offset)];
}

/** Entries follow each other before the directory, so that no two share a byte. */
function withLimits(file: string, entries: readonly Omit<ZipEntry, "limit">[], end: number): ZipEntry[] {
  const inOrder = [...entries].sort((a, b) => a.headerOffset - b.headerOffset);
  const summed = entries.some(({ crc32 }) => crc32 !== 0);
  return inOrder.map((entry, i) => {
    const crc32 = summed ? entry.crc32 : undefined;
    const limited = { ...entry, crc32, limit: inOrder[i + 1]?.headerOffset ?? end };
    // The local header's extra field adds to this, and is not known before entryStart().
    const start = entry.headerOffset + LOCAL_HEADER + entry.name.length;
    if (start + entry.size > limited.limit) throw overlap(file, limited, start);
    return limited;
  });
}

function overlap(file: string, { name, size, limit }: ZipEntry, start: number): CheckpointError {
  return new CheckpointError(
    `${show(name)} in ${file} would take ${size} bytes from ${start} on, and the next thing begins at ${limit}: ` +
      `the file is damaged, so fetch it again.`,
  );
}

function toNumber(source: ByteSource, value: bigint): number {
  if (value <= BigInt(source.size)) return Number(value);
  throw new CheckpointError(
    `The end of ${source.name} names ${value}, and the file has ${source.size} bytes.`,
  );
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
