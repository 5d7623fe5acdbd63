import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as zlib from "node:zlib";
import { describe, expect, test } from "vitest";
import { bytesSource } from "../../src/checkpoint/source.ts";
import { entryStart, readZip } from "../../src/checkpoint/zip.ts";
import { checkZip } from "../../src/checkpoint/zip-sums.ts";
import { CheckpointError } from "../../src/errors.ts";
import { zip } from "./torch-file.ts";

const FIXTURE = join(import.meta.dirname, "..", "fixtures", "torch", "zip.bin");
const NAME = "archive.bin";

/** Shows the check every byte of a file, `step` of them at a time. */
async function check(bytes: Uint8Array, step: number): Promise<void> {
  const { update } = await checkZip(bytesSource(NAME, bytes), zlib.crc32);
  for (let at = 0; at < bytes.length; at += step) update(bytes.subarray(at, at + step));
}

describe.skipIf(!zlib.crc32)("a zip file's entries are held to their checksums", () => {
  const entries = ["a", "b", "c"].map((name, i) => ({
    name,
    bytes: Uint8Array.from({ length: 50 * i }, (_, at) => at * 7 + i),
  }));

  test.each([1, 13, 64, 10_000])("%d bytes at a time", async (step) => {
    const bytes = zip(entries);
    await check(bytes, step);
    await check(zip(entries, { zip64: true }), step);
    for (const { name, ...entry } of (await readZip(bytesSource(NAME, bytes))).values()) {
      const start = await entryStart(bytesSource(NAME, bytes), { name, ...entry });
      for (const at of entry.size === 0 ? [] : [start, start + entry.size - 1]) {
        const damaged = bytes.slice();
        damaged[at]! ^= 16;
        await expect(check(damaged, step)).rejects.toThrow(CheckpointError);
        await expect(check(damaged, step)).rejects.toThrow(`${name} in ${NAME} does not have the checksum`);
      }
    }
  });

  test("as PyTorch wrote them", async () => {
    const bytes = new Uint8Array(readFileSync(FIXTURE));
    await check(bytes, 100);
    const inside = [...(await readZip(bytesSource(NAME, bytes))).values()];
    const entry = inside.find(({ name, crc32 }) => /\/data\/\d+$/.test(name) && crc32 !== 0)!;
    bytes[await entryStart(bytesSource(NAME, bytes), entry)]! ^= 1;
    await expect(check(bytes, 100)).rejects.toThrow(`${entry.name} in ${NAME}`);
  });

  test("but not to a checksum that was not taken", async () => {
    const bytes = zip(entries);
    // The directory's checksum of the last entry stands 16 bytes behind the start of its record.
    const record = Buffer.from(bytes).lastIndexOf("PK\u0001\u0002");
    bytes.fill(0, record + 16, record + 20);
    await check(bytes, 64);
  });
});
