import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { crc32, shiftCrc32 } from "../../src/checkpoint/crc32.ts";
import { randomStream } from "../support/random.ts";

const next = randomStream(32);
const bytes = Uint8Array.from({ length: 70_000 }, () => next() * 256);

/** zlib's, out of the end of a gzip file. */
const reference = (of: Uint8Array) => gzipSync(of, { level: 1 }).subarray(-8).readUInt32LE();

test("the checksum is that of the format", () => {
  expect(crc32(new TextEncoder().encode("123456789"))).toBe(0xcbf43926);
});

test.each([0, 1, 2, 3, 4, 5])("from byte %i on, of every length", (from) => {
  for (const length of [...Array(70).keys(), 4095, 4096, 65_537]) {
    const part = bytes.subarray(from, from + length);
    expect(crc32(part), `${length} bytes`).toBe(reference(part));
  }
});

test.each([0, 1, 15, 16, 1000, 69_999, 70_000])("two parts, the first of %i bytes", (length) => {
  const [first, second] = [bytes.subarray(0, length), bytes.subarray(length)];
  expect((shiftCrc32(crc32(first), second.length) ^ crc32(second)) >>> 0).toBe(reference(bytes));
});

test("a shift by more than 32 bits can say is as many smaller ones", () => {
  const crc = crc32(bytes);
  const parts = [5, ...Array<number>(8).fill(2 ** 30)];
  expect(shiftCrc32(crc, 2 ** 33 + 5)).toBe(parts.reduce(shiftCrc32, crc));
  expect(shiftCrc32(crc, 0)).toBe(crc);
});
