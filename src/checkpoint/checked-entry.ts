import { crc32, shiftCrc32 } from "./crc32.ts";
import type { ByteSource } from "./source.ts";
import { damagedEntry, entryStart, type ZipEntry } from "./zip.ts";

/** Bytes of an entry, from the first to before the second. */
export type Range = readonly [from: number, to: number];

/** What is read at a time of bytes that nobody asked for. */
const REST_BLOCK = 8 * 1024 * 1024;

/**
 * A zip entry that is read by range and yet held to the checksum of all of it. A range costs its own bytes; the read that
 * completes a tensor, in whatever order its parts were read, is refused if the entry's sum is another. Where other
 * tensors share the entry, that read takes the rest of it, once, too: whether they will be read nobody knows. An entry of
 * a file without checksums is read as it is.
 */
export class CheckedEntry {
  private readonly source: ByteSource;
  private readonly entry: ZipEntry;
  private start: Promise<number> | undefined;
  private readonly unread: Range[];
  /** Of the bytes that were read, each shifted to its place. */
  private sum = 0;
  private completing: Promise<void> | undefined;

  constructor(source: ByteSource, entry: ZipEntry) {
    this.source = source;
    this.entry = entry;
    this.unread = [[0, entry.size]];
  }

  /**
   * @param tensor where the tensor lies that these bytes are of
   * @throws CheckpointError when these bytes complete a tensor of an entry that is damaged, and at every read from then on.
   */
  async read(offset: number, count: number, tensor: Range): Promise<Uint8Array> {
    const bytes = await this.readUnchecked(offset, count);
    const { crc32: wanted } = this.entry;
    if (wanted === undefined || count === 0) return bytes;
    this.add(offset, bytes);
    if (!overlaps(this.unread, tensor)) await this.complete();
    if (this.unread.length === 0 && this.sum >>> 0 !== wanted) throw damagedEntry(this.source, this.entry);
    return bytes;
  }

  private async readUnchecked(offset: number, count: number): Promise<Uint8Array> {
    // Once for all who read at the same time; after a failure, again for whoever comes next.
    this.start ??= entryStart(this.source, this.entry).catch((error: unknown) => {
      this.start = undefined;
      throw error;
    });
    return this.source.read((await this.start) + offset, count);
  }

  /** Reads what was not, once for all who wait for it; after a failure, again for whoever comes next. */
  private complete(): Promise<void> {
    this.completing ??= this.readRest().finally(() => {
      this.completing = undefined;
    });
    return this.completing;
  }

  private async readRest(): Promise<void> {
    for (const [from, to] of [...this.unread]) {
      for (let at = from; at < to; at += REST_BLOCK) {
        this.add(at, await this.readUnchecked(at, Math.min(REST_BLOCK, to - at)));
      }
    }
  }

  private add(offset: number, bytes: Uint8Array): void {
    for (const [from, to] of takeOut(this.unread, [offset, offset + bytes.length])) {
      const crc = crc32(bytes.subarray(from - offset, to - offset));
      this.sum ^= shiftCrc32(crc, this.entry.size - to);
    }
  }
}

/** The index of the first of ranges, which are in order and apart, that ends behind `at`. */
function firstBehind(ranges: readonly Range[], at: number): number {
  let [low, high] = [0, ranges.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ranges[middle]![1] <= at) low = middle + 1;
    else high = middle;
  }
  return low;
}

function overlaps(ranges: readonly Range[], [from, to]: Range): boolean {
  const range = ranges[firstBehind(ranges, from)];
  return range !== undefined && range[0] < to;
}

/** Takes [from, to) out of ranges that are in order and apart; returns what of it they held. */
function takeOut(ranges: Range[], [from, to]: Range): Range[] {
  const taken: Range[] = [];
  let i = firstBehind(ranges, from);
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
