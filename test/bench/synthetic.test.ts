import { expect, test } from "vitest";
import { syntheticRelease } from "../../fixtures/synthetic.ts";
import { crc32, shiftCrc32 } from "../../src/checkpoint/crc32.ts";
import { entryStart, readZip } from "../../src/checkpoint/zip.ts";

test("a shard has the checksums that its bytes have", async () => {
  const release = syntheticRelease({ part: "base", seed: 3, layers: 1 });
  const shard = (await release("pytorch_model-00001-of-00001.bin"))!;
  for (const [name, entry] of await readZip(shard)) {
    const start = await entryStart(shard, entry);
    let crc = 0;
    for (let at = 0; at < entry.size; at += 50_000_000) {
      const bytes = await shard.read(start + at, Math.min(50_000_000, entry.size - at));
      crc = shiftCrc32(crc, bytes.length) ^ crc32(bytes);
    }
    expect(crc >>> 0, name).toBe(entry.crc32);
  }
});
