import { CheckpointError } from "../errors.ts";
import type { ByteSource } from "./source.ts";
import { entryStart, readZip } from "./zip.ts";

/** The checksum of bytes that follow others, whose checksum is `before`: the host's, since one in TypeScript is slow. */
export type Crc32 = (bytes: Uint8Array, before: number) => number;

/** Looks at a file's bytes as they come by. */
export interface ZipCheck {
  /** @throws CheckpointError at the end of the first entry whose bytes have another checksum than the directory gives. */
  update(bytes: Uint8Array): void;
}

/**
 * Holds the entries of a zip file to their checksums while whoever needs all of its bytes reads them, from the first to
 * the last. An entry whose checksum is 0 was written without one, as PyTorch does when it is told to.
 * @throws CheckpointError for what is no such file.
 */
export async function checkZip(source: ByteSource, crc32: Crc32): Promise<ZipCheck> {
  const entries: { name: string; wanted: number; found: number; start: number; end: number }[] = [];
  for (const entry of (await readZip(source)).values()) {
    if (entry.crc32 === 0) continue;
    const start = await entryStart(source, entry);
    entries.push({ name: entry.name, wanted: entry.crc32, found: 0, start, end: start + entry.size });
  }
  entries.sort((a, b) => b.start - a.start); // the next one last
  let at = 0;
  return {
    update(bytes) {
      for (let entry = entries.at(-1); entry && entry.start < at + bytes.length; entry = entries.at(-1)) {
        const from = Math.max(entry.start - at, 0);
        entry.found = crc32(bytes.subarray(from, entry.end - at), entry.found);
        if (entry.end > at + bytes.length) break;
        if (entry.found !== entry.wanted) {
          throw new CheckpointError(
            `${entry.name} in ${source.name} does not have the checksum that the file's directory gives: the file is ` +
              `damaged, so fetch it again.`,
          );
        }
        entries.pop();
      }
      at += bytes.length;
    },
  };
}
