import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { bytesSource } from "../../src/checkpoint/source.ts";
import { openTorch } from "../../src/checkpoint/torch.ts";
import { CheckpointError } from "../../src/errors.ts";
import { randomStream } from "../support/random.ts";
import { mutate } from "./mutate.ts";
import { python } from "./python.ts";
import { type SavedTensor, stateDictPickle, torchEntries, zip } from "./torch-file.ts";

/** Files to damage of each of four kinds, here and beside safetensors: 50,000 in all. */
const FILES = Number(process.env.ZIYA_FUZZ ?? 12_500);
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

interface Reading {
  readonly bytes: Uint8Array;
  readonly values: Record<string, number[]>;
}

/** Opens and reads `FILES` files; returns those that could be, and what they held. */
async function readMany(make: (next: () => number) => Uint8Array): Promise<Reading[]> {
  const next = randomStream(1313);
  const read: Reading[] = [];
  for (let i = 0; i < FILES; i++) {
    const bytes = make(next);
    const start = performance.now();
    try {
      read.push({ bytes, values: await readAll(await openTorch(bytesSource("damaged", bytes))) });
    } catch (error) {
      if (!(error instanceof CheckpointError)) throw new Error(`file ${i} of the seed`, { cause: error });
    }
    expect(performance.now() - start, `file ${i} of the seed`).toBeLessThan(MILLISECONDS_PER_FILE);
  }
  // Damage between the parts of a file leaves it valid: both outcomes must have been seen.
  expect(read.length).toBeGreaterThan(FILES / 100);
  expect(read.length).toBeLessThan(FILES / 2);
  return read;
}

describe.each([
  ["a file with zip64 fields", file],
  [
    "what PyTorch wrote",
    new Uint8Array(readFileSync(join(import.meta.dirname, "../fixtures/torch/zip.bin"))),
  ],
])("%s", (_, file) => {
  test(`${FILES} damaged zips each read as the original or give a CheckpointError`, async () => {
    const original = await readAll(await openTorch(bytesSource("original", file)));
    for (const { values } of await readMany((next) => mutate(file, next))) expect(values).toEqual(original);
  });

  test("every bit turned over alone, too", async () => {
    const original = await readAll(await openTorch(bytesSource("original", file)));
    for (let bit = 0; bit < 8 * file.length; bit++) {
      const bytes = file.slice();
      bytes[bit >> 3]! ^= 1 << (bit & 7);
      try {
        const values = await readAll(await openTorch(bytesSource("damaged", bytes)));
        expect(values, `bit ${bit}`).toEqual(original);
      } catch (error) {
        if (!(error instanceof CheckpointError)) throw new Error(`bit ${bit}`, { cause: error });
      }
    }
  });
});

test(`${FILES} damaged pickles each read as PyTorch reads them or give a CheckpointError`, async () => {
  const read = await readMany((next) => zip(torchEntries(mutate(stateDict, next), storages)));
  if (!python) return;
  const directory = mkdtempSync(join(tmpdir(), "ziya-fuzz-"));
  try {
    const paths = read.map(({ bytes }, i) => {
      const path = join(directory, `${i}.bin`);
      writeFileSync(path, bytes);
      return `${path}\n`;
    });
    const output = execFileSync(python, [join(import.meta.dirname, "read_saved.py")], {
      input: paths.join(""),
      encoding: "utf8",
      maxBuffer: 2 ** 30,
    });
    const theirs = output.trim().split("\n");
    expect(theirs.length).toBe(read.length);
    for (const [i, { values }] of read.entries()) {
      const ours = Object.entries(values).map(([name, numbers]) => [name, hexOf(numbers)]);
      expect(JSON.parse(theirs[i]!), `reading ${i}`).toEqual(Object.fromEntries(ours));
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});

/** The bytes of float32 values; every NaN the same one. */
function hexOf(numbers: readonly number[]): string {
  return Buffer.from(Float32Array.from(numbers, (n) => (Number.isNaN(n) ? Number.NaN : n)).buffer).toString(
    "hex",
  );
}
