import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { writeShard } from "../../node/convert/shard.ts";
import type { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { planShards } from "../../src/checkpoint/plan.ts";
import { CheckpointError } from "../../src/errors.ts";

const NORM = "model.norm.weight";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ziya-shard-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** A checkpoint of one vector. */
function vector(...weights: number[]): Checkpoint {
  return {
    name: "vector",
    tensors: new Map([[NORM, { name: NORM, dtype: "F32", shape: [weights.length] }]]),
    readRows: async (_, first, count) => Float32Array.from(weights.slice(first, first + count)),
  };
}

async function write(checkpoint: Checkpoint): Promise<string[]> {
  const [shard] = planShards(checkpoint.tensors.values(), "q4");
  await writeShard(checkpoint, shard!, folder, { onRead: () => {} });
  return readdir(folder);
}

test.each([Number.NaN, Number.NEGATIVE_INFINITY])("a vector with %d in it is not written", async (value) => {
  await expect(write(vector(1, 2, value, 1))).rejects.toThrow(CheckpointError);
  await expect(write(vector(1, 2, value, 1))).rejects.toThrow(
    `${NORM} in vector: The weight at row 2 is ${value}`,
  );
  expect(await readdir(folder)).toEqual([]);
});

test("a vector of finite weights is", async () => {
  expect(await write(vector(1, 2, 0, -65504))).toEqual(["model-00001-of-00001.safetensors"]);
});
