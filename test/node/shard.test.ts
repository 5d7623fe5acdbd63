import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { outputFolder } from "../../node/convert/folder.ts";
import { createSha256 } from "../../node/sha256.ts";
import type { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { planShards } from "../../src/convert/plan.ts";
import { writeShard } from "../../src/convert/shard.ts";
import { CheckpointError } from "../../src/errors.ts";
import { packRows } from "../../src/quantize/pack.ts";
import { sha256 } from "../support/convert.ts";
import { randomFloats } from "../support/random.ts";

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
  await writeShard(checkpoint, shard!, outputFolder(folder), { createSha256, onRead: () => {} });
  return readdir(folder);
}

test.each([Number.NaN, Number.NEGATIVE_INFINITY])("a vector with %d in it is not written", async (value) => {
  await expect(write(vector(1, 2, value, 1))).rejects.toThrow(CheckpointError);
  await expect(write(vector(1, 2, value, 1))).rejects.toThrow(
    `${NORM} in vector: The weight at row 2 is ${value}`,
  );
  expect(await readdir(folder)).toEqual([]);
});

test("a matrix of several blocks is packed from the rows of each, read once and in order", async () => {
  const [name, rows, columns] = ["a.weight", 43_700, 96];
  const values = randomFloats(rows * columns, 4);
  const reads: [number, number][] = [];
  const checkpoint: Checkpoint = {
    name: "matrix",
    tensors: new Map([[name, { name, dtype: "F32", shape: [rows, columns] }]]),
    readRows: async (_, first, count) => {
      reads.push([first, count]);
      return values.slice(first * columns, (first + count) * columns);
    },
  };
  const [shard] = planShards(checkpoint.tensors.values(), "q4");
  const told: number[] = [];
  const out = await mkdtemp(join(folder, "blocks-"));
  const { sum, errors } = await writeShard(checkpoint, shard!, outputFolder(out), {
    createSha256,
    onRead: (_, weights) => told.push(weights),
  });
  expect(reads).toEqual([
    [0, 21_845],
    [21_845, 21_845],
    [43_690, 10],
  ]);
  expect(told).toEqual(reads.map(([, count]) => count * columns));
  expect(errors?.[name]?.weights).toBe(rows * columns);
  const bytes = await readFile(join(out, shard!.file));
  expect(sum).toEqual({ name: shard!.file, size: bytes.length, sha256: sha256(bytes) });
  const whole = packRows("q4", values, columns);
  const { length } = shard!.header;
  const [words, scales] = [new Uint8Array(whole.words.buffer), new Uint8Array(whole.scales!.buffer)];
  expect(bytes.subarray(length, length + words.length).equals(words)).toBe(true);
  expect(bytes.subarray(length + words.length).equals(scales)).toBe(true);
  await rm(out, { recursive: true });
});

test("a weight that is not finite is told by its row in the tensor, whichever block that is in", async () => {
  const [name, rows, columns] = ["a.weight", 21_845 + 9, 96];
  const checkpoint: Checkpoint = {
    name: "index",
    fileOf: () => "file",
    tensors: new Map([[name, { name, dtype: "F32", shape: [rows, columns] }]]),
    readRows: async (_, first, count) => {
      const values = new Float32Array(count * columns);
      if (first > 0) values[7 * columns + 3] = Number.NaN;
      return values;
    },
  };
  await expect(write(checkpoint)).rejects.toThrow(
    "a.weight in file: The weight at row 21852, column 3 is NaN",
  );
});

test("a vector of finite weights is", async () => {
  expect(await write(vector(1, 2, 0, -65504))).toEqual(["model-00001-of-00001.safetensors"]);
});
