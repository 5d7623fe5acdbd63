import { expect, test } from "vitest";
import type { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { bytesSource } from "../../src/checkpoint/source.ts";
import { openTorch } from "../../src/checkpoint/torch.ts";
import { CheckpointError } from "../../src/errors.ts";
import { randomStream } from "../support/random.ts";
import { mutate } from "./mutate.ts";
import { type SavedTensor, stateDictPickle, torchEntries, zip } from "./torch-file.ts";

/** Files to damage of either kind: a thousand in a second or so; the 50,000 over all formats by ZIYA_FUZZ=17000. */
const FILES = Number(process.env.ZIYA_FUZZ ?? 1000);
/** No damage may cost more: a legal file of this size takes a thousandth of it. */
const MILLISECONDS_PER_FILE = 5000;

const bytesOf = (length: number) => Uint8Array.from({ length }, (_, i) => (i * 89) % 128);
const tensors: SavedTensor[] = [
  { name: "model.embed_tokens.weight", dtype: "F16", shape: [12, 8], bytes: bytesOf(192) },
  { name: "model.norm.weight", dtype: "F32", shape: [8], bytes: bytesOf(32) },
  { name: "lm_head.weight", dtype: "BF16", shape: [12, 2, 4], strides: [1, 48, 12], bytes: bytesOf(192) },
];
const stateDict = stateDictPickle(tensors);
const storages = tensors.map(({ bytes }) => bytes);
const file = zip(torchEntries(stateDict, storages), { zip64: true });

/** All values by name. */
async function readAll(checkpoint: Checkpoint): Promise<Record<string, number[]>> {
  const values: Record<string, number[]> = {};
  for (const { name, shape } of checkpoint.tensors.values()) {
    const read = await checkpoint.readRows(name, 0, shape[0] ?? 1);
    expect(read.length).toBe(shape.reduce((a, b) => a * b, 1));
    values[name] = [...read];
  }
  return values;
}

/** Opens and reads `FILES` files; returns what those that opened held. */
async function readMany(make: (next: () => number) => Uint8Array): Promise<Record<string, number[]>[]> {
  const next = randomStream(1313);
  const read: Record<string, number[]>[] = [];
  for (let i = 0; i < FILES; i++) {
    const bytes = make(next);
    const start = performance.now();
    try {
      read.push(await readAll(await openTorch(bytesSource("damaged", bytes))));
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw new Error(`file ${i} of the seed`, { cause: error });
    }
    expect(performance.now() - start, `file ${i} of the seed`).toBeLessThan(MILLISECONDS_PER_FILE);
  }
  return read;
}

test(`${FILES} damaged zips each read as the original but for its numbers, or give a CheckpointError`, async () => {
  const original = await readAll(await openTorch(bytesSource("original", file)));
  const read = await readMany((next) => mutate(file, next));
  // The pickle has a checksum; the storages have one too, which a read by range cannot see.
  for (const values of read) {
    expect(Object.keys(values)).toEqual(Object.keys(original));
    for (const [name, numbers] of Object.entries(values)) expect(numbers.length).toBe(original[name]!.length);
  }
  expect(read.length).toBeGreaterThan(FILES / 100);
  expect(read.length).toBeLessThan(FILES / 2);
});

test(`${FILES} damaged pickles each read or give a CheckpointError`, async () => {
  const read = await readMany((next) => zip(torchEntries(mutate(stateDict, next), storages)));
  expect(read.length).toBeGreaterThan(FILES / 100);
  expect(read.length).toBeLessThan(FILES / 2);
});
