import { crc32, shiftCrc32 } from "./crc32.ts";
import type { ByteSource } from "./source.ts";
import { damagedEntry, entryStart, type ZipEntry } from "./zip.ts";

/** Bytes of an entry, from the first to before the second. */
export type Range = readonly [from: number, to: number];

/** What is read at a time of bytes that nobody asked for. */
const GAP_BLOCK = 8 * 1024 * 1024;

/**
 * A zip entry that is read by range and yet held to the checksum of all of it: a range costs its own bytes, and the
 * read that completes the entry, in whatever order its bytes were read, is refused if the sum is another. An entry of a
 * file without checksums is read as it is.
 */
export class CheckedEntry {
  private readonly source: ByteSource;
  private readonly entry: ZipEntry;
  private readonly gapBytes: number;
  private start: number | undefined;
  private readonly unread: Range[];
  private unreadBytes: number;
  /** Of the bytes that were read, each shifted to its place. */
  private sum = 0;

  /** @param wanted what readers may ask for: when all of it was read, the rest is too, for the sum's sake */
  constructor(source: ByteSource, entry: ZipEntry, wanted: readonly Range[]) {
    this.source = source;
    this.entry = entry;
    this.unread = [[0, entry.size]];
    this.unreadBytes = entry.size;
    this.gapBytes = entry.size - coveredBytes(wanted);
  }

  /** @throws CheckpointError when these bytes complete an entry that is damaged, and at every read from then on. */
  async read(offset: number, count: number): Promise<Uint8Array> {
    const bytes = await this.readUnchecked(offset, count);
    const { crc32: wanted } = this.entry;
    if (wanted === undefined || count === 0) return bytes;
    this.add(offset, bytes);
    if (this.unreadBytes <= this.gapBytes) {
      for (const [from, to] of [...this.unread]) await this.readGap(from, to);
    }
    if (this.unreadBytes === 0 && this.sum >>> 0 !== wanted) throw damagedEntry(this.source, this.entry);
    return bytes;
  }

  private async readUnchecked(offset: number, count: number): Promise<Uint8Array> {
    this.start ??= await entryStart(this.source, this.entry);
    return this.source.read(this.start + offset, count);
  }

  private async readGap(from: number, to: number): Promise<void> {
    for (let at = from; at < to; at += GAP_BLOCK) {
      this.add(at, await this.readUnchecked(at, Math.min(GAP_BLOCK, to - at)));
    }
  }

  private add(offset: number, bytes: Uint8Array): void {
    for (const [from, to] of takeOut(this.unread, [offset, offset + bytes.length])) {
      const crc = crc32(bytes.subarray(from - offset, to - offset));
      this.sum ^= shiftCrc32(crc, this.entry.size - to);
      this.unreadBytes -= to - from;
    }
  }
}

function coveredBytes(ranges: readonly Range[]): number {
  let [covered, end] = [0, 0];
  for (const [from, to] of [...ranges].sort(([a], [b]) => a - b)) {
    covered += Math.max(0, to - Math.max(from, end));
    end = Math.max(end, to);
  }
  return covered;
}

/** Takes [from, to) out of ranges that are in order and apart; returns what of it they held. */
function takeOut(ranges: Range[], [from, to]: Range): Range[] {
  const taken: Range[] = [];
  let [i, high] = [0, ranges.length];
  while (i < high) {
    const middle = (i + high) >> 1;
    if (ranges[middle]![1] <= from) i = middle + 1;
    else high = middle;
  }
  while (i < ranges.length && ranges[i]![0] < to) {
    const [first, end] = ranges[i]!;
    const [a, b] = [Math.max(first, from), Math.min(end, to)];
    taken.push([a, b]);
    const left: Range[] = first < a ? [[first, a]] : [];
    const right: Range[] = b < end ? [[b, end]] : [];
    ranges.splice(i, 1, ...left, ...right);
    i += left.length;
  }
  return taken;
}
