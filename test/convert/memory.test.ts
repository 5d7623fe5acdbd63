import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { createSha256 } from "../../node/sha256.ts";
import type { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import type { OutputFolder } from "../../src/convert/output.ts";
import { planShards } from "../../src/convert/plan.ts";
import { writeShard } from "../../src/convert/shard.ts";

const MIB = 1024 * 1024;
/** Two blocks of 2 Mi weights, which are 8 MiB as float32. */
const [ROWS, COLUMNS] = [4096, 1024];
/**
 * A block that is being packed, the next one, which is read ahead, and one whose packed words are being written; the search
 * of the packer needs little beside them.
 */
const LIVE_BYTES = 3 * 8 * MIB;
/** What the process itself allocates meanwhile, and not what is converted. */
const NOISE = MIB;

setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;

/** Bytes in buffers that are in use. The second collection waits until the first has let go of all that it found. */
function liveBytes(): number {
  collect();
  collect();
  return process.memoryUsage().arrayBuffers;
}

/** The most bytes that are alive while so many matrices are packed into one shard, above those there were before. */
async function packing(matrices: number): Promise<number> {
  const names = Array.from({ length: matrices }, (_, i) => `${i}.weight`);
  const before = liveBytes();
  let most = 0;
  const checkpoint: Checkpoint = {
    name: "matrices",
    tensors: new Map(names.map((name) => [name, { name, dtype: "F32", shape: [ROWS, COLUMNS] }])),
    async readRows(_, first, count) {
      const rows = new Float32Array(count * COLUMNS).fill(first + 1);
      most = Math.max(most, liveBytes() - before);
      return rows;
    },
  };
  const nowhere = { write: async () => {}, finish: async () => {}, discard: async () => {} };
  const folder = { create: async () => nowhere } as Partial<OutputFolder> as OutputFolder;
  const [shard] = planShards(checkpoint.tensors.values(), "q4");
  await writeShard(checkpoint, shard!, folder, { createSha256, onRead: () => {} });
  return most;
}

test("what is held of a shard is some blocks, however many matrices it has", async () => {
  const [few, many] = [await packing(2), await packing(5)];
  expect(few).toBeLessThan(LIVE_BYTES);
  expect(Math.abs(many - few)).toBeLessThan(NOISE);
});
