import { expect, test } from "vitest";
import { CheckedEntry } from "../../src/checkpoint/checked-entry.ts";
import { crc32 } from "../../src/checkpoint/crc32.ts";
import { toWords, widen } from "../../src/checkpoint/dtype.ts";
import { readHeader } from "../../src/checkpoint/header.ts";
import { PICKLE_LIMIT, readPickle } from "../../src/checkpoint/pickle.ts";
import { type ByteSource, bytesSource } from "../../src/checkpoint/source.ts";
import { readEntry, readZip } from "../../src/checkpoint/zip.ts";
import { narrowToHalves, widenBfloats, widenHalves } from "../../src/f16.ts";
import { safetensors } from "./bytes.ts";
import { op, pickle, zip } from "./torch-file.ts";

/** One less, exactly, one more. */
const around = (size: number) => [size - 1, size, size + 1];
const source = (bytes: Uint8Array) => bytesSource("a file", bytes);

/** Bounds that the sources have, written down once more. */
const HEADER_LIMIT = 4 << 20;
const DIRECTORY_LIMIT = 16 << 20;
const OBJECT_LIMIT = 1 << 19;
/** What is read of a zip file's end: its last record with the longest comment. */
const TAIL = 22 + 65_535;

test.each(around(HEADER_LIMIT))("a safetensors header of %i bytes", async (length) => {
  const reading = readHeader(source(safetensors("{}".padEnd(length))));
  if (length <= HEADER_LIMIT) expect((await reading).entries.size).toBe(0);
  else await expect(reading).rejects.toThrow(`at most ${HEADER_LIMIT} are believed`);
});

test.each(around(8))("a tensor of %i dimensions", async (count) => {
  const tensor = { dtype: "F32", shape: Array(count).fill(1), data_offsets: [0, 4] };
  const reading = readHeader(source(safetensors({ tensor }, 4)));
  if (count <= 8) expect((await reading).entries.get("tensor")!.shape).toHaveLength(count);
  else await expect(reading).rejects.toThrow("wanted a list of at most 8 sizes");
});

test.each(around(3))("a tensor with %i of its 3 elements in the file", async (count) => {
  const tensor = { dtype: "F32", shape: [3], data_offsets: [0, 12] };
  const reading = readHeader(source(safetensors({ tensor }, 4 * count)));
  if (count === 3) expect((await reading).entries.get("tensor")!.bytes).toBe(12);
  else await expect(reading).rejects.toThrow(count < 3 ? "it is cut short" : "4 bytes after");
});

test.each(around(PICKLE_LIMIT))("a pickle of %i bytes", (length) => {
  const text = new Uint8Array(length - 8).fill(0x61);
  const bytes = new Uint8Array(length);
  bytes.set([...op.PROTO2, 0x58, ...new Uint8Array(Uint32Array.of(text.length).buffer)]);
  bytes.set(text, 7);
  bytes[length - 1] = op.STOP;
  const read = () => readPickle(bytes, "a pickle", nothing);
  if (length <= PICKLE_LIMIT) expect(read()).toHaveLength(text.length);
  else expect(read).toThrow(`at most ${PICKLE_LIMIT} are believed`);
});

test.each(around(OBJECT_LIMIT))("a pickle of %i objects", (count) => {
  const inner = new Uint8Array(count - 1).fill(op.EMPTY_TUPLE);
  const bytes = Uint8Array.from([...op.PROTO2, op.MARK, ...inner, op.TUPLE, op.STOP]);
  const read = () => readPickle(bytes, "a pickle", nothing);
  if (count <= OBJECT_LIMIT) expect(read()).toHaveLength(count - 1);
  else expect(read).toThrow(`builds more than ${OBJECT_LIMIT} objects`);
});

test.each(around(8))("a pickled integer of %i bytes", (length) => {
  const bytes = pickle(op.PROTO2, [0x8a, length, 5, ...Array(length - 1).fill(0)], op.STOP);
  const read = () => readPickle(bytes, "a pickle", nothing);
  if (length <= 8) expect(read()).toBe(5);
  else expect(read).toThrow("holds an integer of 9 bytes");
});

test.each(around(3))("a pickled name that says it has %i bytes and has 3", (length) => {
  const bytes = pickle(op.PROTO2, [0x58, length, 0, 0, 0, 0x61, 0x62, 0x63], op.STOP);
  const read = () => readPickle(bytes, "a pickle", nothing);
  if (length === 3) expect(read()).toBe("abc");
  else expect(read).toThrow(length < 3 ? "ends inside a name" : "ends too early");
});

const nothing = {
  global: () => ({ kind: "none" }),
  call: () => null,
  persistent: () => ({ kind: "none" }),
};

test.each(around(65_535).slice(0, 2))("a zip file with a comment of %i bytes", async (length) => {
  const bytes = zip([{ name: "a", bytes: new Uint8Array(300).fill(7) }]);
  const file = new Uint8Array(bytes.length + length);
  file.set(bytes);
  file.set([length & 255, length >> 8], bytes.length - 2);
  const entries = await readZip(source(file));
  expect(await readEntry(source(file), entries.get("a")!, 300)).toEqual(new Uint8Array(300).fill(7));
});

test.each(around(TAIL))("a zip directory that begins %i bytes before the end", async (length) => {
  const name = "a".repeat(length - 22 - 46);
  const file = source(zip([{ name, bytes: Uint8Array.of(1, 2, 3) }]));
  const entries = await readZip(file);
  expect(await readEntry(file, entries.get(name)!, 3)).toEqual(Uint8Array.of(1, 2, 3));
});

test.each(around(DIRECTORY_LIMIT))("a zip directory of %i bytes", async (size) => {
  const end = zip([]);
  new DataView(end.buffer).setUint32(12, size, true);
  const file: ByteSource = {
    name: "a file",
    size: size + end.length,
    async read(offset, length) {
      const bytes = new Uint8Array(length);
      if (offset + length > size) bytes.set(end, size - offset);
      return bytes;
    },
  };
  // What is believed is read, and holds nothing.
  const refusal = size <= DIRECTORY_LIMIT ? "is damaged after 0 entries" : `at most ${DIRECTORY_LIMIT} are`;
  await expect(readZip(file)).rejects.toThrow(refusal);
});

test.each(around(100))("a zip entry of %i bytes with a limit of 100", async (size) => {
  const bytes = new Uint8Array(size).fill(3);
  const file = source(zip([{ name: "a", bytes }]));
  const reading = readEntry(file, (await readZip(file)).get("a")!, 100);
  if (size <= 100) expect(await reading).toEqual(bytes);
  else await expect(reading).rejects.toThrow("at most 100 are believed");
});

test.each(around(64))("a tensor of %i bytes at the edge of its entry of 64", async (end) => {
  const bytes = Uint8Array.from({ length: 64 }, (_, i) => 3 * i);
  const file = source(zip([{ name: "a", bytes }]));
  const entry = (await readZip(file)).get("a")!;
  const right = new CheckedEntry(file, entry);
  const wrong = new CheckedEntry(file, { ...entry, crc32: crc32(bytes) ^ 1 });
  // Each completes the tensor, which takes the rest of the entry with it.
  if (end <= 64) expect(await right.read(0, end, [0, end])).toEqual(bytes.subarray(0, end));
  await expect(wrong.read(0, Math.min(end, 64), [0, end])).rejects.toThrow("does not have the checksum");
});

test.each(around(8))("%i elements are widened and narrowed, and nothing beside them", (count) => {
  const room = () => new Float32Array(count + 1).fill(9);
  const floats = Float32Array.from({ length: count }, (_, i) => i - 2.5);
  const bytes = new Uint8Array(floats.buffer);
  const halves = narrowToHalves(floats, new Uint16Array(count + 1).fill(9));
  expect([halves.length, halves[count]]).toEqual([count + 1, 9]);
  const bfloats = Uint16Array.from({ length: count }, (_, i) => toWords(bytes)[2 * i + 1]!);
  for (const widened of [
    widenHalves(halves.subarray(0, count), room()),
    widenBfloats(bfloats, room()),
    Float32Array.of(...widen("F32", bytes), 9),
    Float32Array.of(...widen("F16", new Uint8Array(halves.buffer, 0, 2 * count)), 9),
    Float32Array.of(...widen("BF16", new Uint8Array(bfloats.buffer)), 9),
  ]) {
    expect([...widened]).toEqual([...floats, 9]);
  }
});

/** What every byte of each of the sixteen tables of the checksum adds: the last of the last table too. */
test.each([0, 15])("a checksum of the largest byte at place %i of a step", (place) => {
  const bytes = new Uint8Array(16);
  const bitwise = (of: Uint8Array) => {
    let crc = ~0;
    for (const byte of of) {
      crc ^= byte;
      for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
    }
    return ~crc >>> 0;
  };
  for (let byte = 0; byte < 256; byte++) {
    bytes[place] = byte;
    expect(crc32(bytes)).toBe(bitwise(bytes));
  }
});
