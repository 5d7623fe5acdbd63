import { describe, expect, test } from "vitest";
import { createSha256 } from "../../node/sha256.ts";
import { CheckedEntry } from "../../src/checkpoint/checked-entry.ts";
import { crc32 } from "../../src/checkpoint/crc32.ts";
import { type ByteSource, bytesSource, INDEX } from "../../src/checkpoint/source.ts";
import type { ZipEntry } from "../../src/checkpoint/zip.ts";
import { hashSource, indexJson, verifyFiles } from "../../src/convert/manifest.ts";
import { blocksOf, planShards, shardBytes } from "../../src/convert/plan.ts";
import type { WeightFormat } from "../../src/stored.ts";
import { sha256 } from "../support/convert.ts";
import { folder } from "./bytes.ts";

/** What is read, hashed and packed at a time. */
const BLOCK = 8 << 20;
/** Sizes at which a loop over blocks may end wrongly, and one that takes three. */
const SIZES = [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 5];

/** Bytes of which no two blocks are alike. */
function pattern(size: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(size / 4));
  for (let i = 0; i < words.length; i++) words[i] = Math.imul(i + 1, 0x9e3779b1);
  return new Uint8Array(words.buffer, 0, size);
}

/** A source in memory, and what is read of it. */
function watch(name: string, bytes: Uint8Array) {
  const memory = bytesSource(name, bytes);
  const reads: [number, number][] = [];
  const source: ByteSource = {
    name,
    size: bytes.length,
    read(offset, length) {
      reads.push([offset, length]);
      return memory.read(offset, length);
    },
  };
  return { source, reads };
}

const blocks = (size: number) =>
  Array.from({ length: Math.ceil(size / BLOCK) }, (_, i) => [i * BLOCK, Math.min(BLOCK, size - i * BLOCK)]);

describe.each(SIZES)("a file of %d bytes", (size) => {
  const bytes = pattern(size);

  test("is hashed whole, a block at a time", async () => {
    const { source, reads } = watch("a", bytes);
    const progress: number[] = [];
    const sum = await hashSource(source, createSha256(), (count) => progress.push(count));
    expect(sum).toEqual({ name: "a", size, sha256: sha256(bytes) });
    expect(reads).toEqual(blocks(size));
    expect(progress).toEqual(blocks(size).map(([, length]) => length));
  });

  test("is verified up to its last byte", async () => {
    const shard = { name: "model-00001-of-00001.safetensors", size, sha256: sha256(bytes) };
    const plan = [{ file: shard.name, size, header: new Uint8Array(0), tensors: [] }];
    const index = JSON.parse(indexJson("q4", plan, { shards: [shard], files: [], sources: [] }));
    const verify = (contents: Uint8Array) =>
      verifyFiles(
        folder({ [shard.name]: contents, [INDEX]: { ...index, weight_map: { a: shard.name } } }),
        createSha256,
      );
    await verify(bytes);
    for (const at of [size - 1, Math.min(BLOCK, size - 2)]) {
      const damaged = bytes.slice();
      damaged[at]! ^= 1;
      await expect(verify(damaged)).rejects.toThrow(`${shard.name} has the SHA-256`);
    }
  });

  test("is held to its checksum where a tensor in it is small", async () => {
    const tensor = [100, 200] as const;
    const entry: ZipEntry = {
      name: "a",
      size,
      crc32: crc32(bytes),
      headerOffset: 0,
      limit: size + 31,
    };
    // A local header: its mark, and how long the name is.
    const header = Uint8Array.of(0x50, 0x4b, 3, 4, ...Array(22).fill(0), 1, 0, 0, 0, "a".charCodeAt(0));
    const file = new Uint8Array(header.length + size);
    file.set(header);
    file.set(bytes, header.length);
    const read = async (contents: Uint8Array) => {
      const { source, reads } = watch("archive", contents);
      const found = await new CheckedEntry(source, entry).read(100, 100, tensor);
      return { found, reads: reads.slice(1).map(([offset, length]) => [offset - header.length, length]) };
    };
    const { found, reads } = await read(file);
    expect(found).toEqual(bytes.subarray(100, 200));
    const rest = blocks(size - 200).map(([offset, length]) => [offset! + 200, length]);
    expect(reads).toEqual([[100, 100], [0, 100], ...rest]);
    for (const at of [0, 150, 200 + Math.min(BLOCK, size - 202), size - 1]) {
      const damaged = file.slice();
      damaged[header.length + at]! ^= 1;
      await expect(read(damaged)).rejects.toThrow("a in archive does not have the checksum");
    }
  });
});

describe("a shard's tensor of several blocks", () => {
  // Rows of a block are whole: 2 Mi weights are 21,845 rows of 96 and 32,768 of 64.
  test.each<[WeightFormat, number, number, number[]]>([
    ["f32", 96, 21_846, [21_845, 1]],
    ["f16", 64, 65_536, [32_768, 32_768]],
    ["q8", 96, 43_691, [21_845, 21_845, 1]],
    ["q4", 64, 32_767, [32_767]],
    ["q4", 96, 50_001, [21_845, 21_845, 6311]],
  ])("as %s, of %d columns and %d rows, is written in order", async (format, columns, rows, counts) => {
    const [shard] = planShards([{ name: "a", shape: [rows, columns], dtype: "F32" }], format);
    expect(blocksOf(shard!).map(({ count }) => count)).toEqual(counts);
    // Words and scales that tell their place; packing has tests of its own.
    const bits = { f32: 32, f16: 16, q8: 8, q4: 4 }[format];
    const scaleBytes = { f32: 0, f16: 0, q8: 4 * Math.ceil(columns / 64), q4: 16 }[format];
    const words = pattern((rows * columns * bits) / 8);
    const scales = pattern(rows * scaleBytes).map((byte) => ~byte);
    const slice = (of: Uint8Array, first: number, count: number) =>
      new Uint32Array(of.slice((first / rows) * of.length, ((first + count) / rows) * of.length).buffer);
    const parts: Uint8Array[] = [];
    for await (const part of shardBytes(shard!, async (_, first, count) => ({
      words: slice(words, first, count),
      ...(scaleBytes ? { scales: slice(scales, first, count) } : {}),
    }))) {
      parts.push(part.slice());
    }
    const written = Buffer.concat(parts);
    expect(written.length).toBe(shard!.size);
    expect(written.equals(Buffer.concat([shard!.header, words, scales]))).toBe(true);
  });
});
