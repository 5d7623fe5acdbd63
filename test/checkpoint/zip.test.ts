import { describe, expect, test } from "vitest";
import { type ByteSource, bytesSource } from "../../src/checkpoint/source.ts";
import { entryStart, readEntry, readZip } from "../../src/checkpoint/zip.ts";
import { CheckpointError } from "../../src/errors.ts";
import { zip } from "./torch-file.ts";

const encoder = new TextEncoder();
const hello = { name: "a/hello", bytes: encoder.encode("hello") };
const world = { name: "a/世界", bytes: encoder.encode("world!") };
const LIMIT = 100;

const source = (bytes: Uint8Array) => bytesSource("model.bin", bytes);

/** The file with a number written over it at `at`, from the end when negative. */
function patched(bytes: Uint8Array, at: number, value: number, size = 4): Uint8Array {
  const result = bytes.slice();
  for (let i = 0; i < size; i++)
    result[(at + result.length + i) % result.length] = (value / 2 ** (8 * i)) % 256;
  return result;
}

describe.each([false, true])("zip64 %s", (zip64) => {
  test("entries are found and read", async () => {
    const file = source(zip([hello, world, { name: "empty", bytes: new Uint8Array(0) }], { zip64 }));
    const entries = await readZip(file);
    expect([...entries.keys()]).toEqual(["a/hello", "a/世界", "empty"]);
    expect(await readEntry(file, entries.get("a/hello")!, LIMIT)).toEqual(hello.bytes);
    expect(await readEntry(file, entries.get("a/世界")!, LIMIT)).toEqual(world.bytes);
    expect((await readEntry(file, entries.get("empty")!, LIMIT)).length).toBe(0);
  });
});

test("a comment at the end is passed over", async () => {
  const bytes = zip([hello]);
  const comment = new Uint8Array(bytes.length + 300);
  comment.set(bytes);
  comment.set([300 & 255, 300 >> 8], bytes.length - 2);
  expect((await readZip(source(comment))).size).toBe(1);
});

test("entries beyond 4 GiB are found, by reading the end alone", async () => {
  // The file begins with a hole of 6 GB that is never read.
  const HOLE = 6e9;
  const bytes = zip([hello, world], { zip64: true, base: HOLE });
  const reads: number[] = [];
  const file: ByteSource = {
    name: "huge.bin",
    size: HOLE + bytes.length,
    async read(offset, length) {
      reads.push(length);
      const result = new Uint8Array(length);
      for (let i = 0; i < length; i++) result[i] = bytes[offset + i - HOLE] ?? 0;
      return result;
    },
  };
  const entries = await readZip(file);
  expect(entries.get("a/世界")!.headerOffset).toBeGreaterThan(HOLE);
  expect(await readEntry(file, entries.get("a/世界")!, LIMIT)).toEqual(world.bytes);
  expect(Math.max(...reads)).toBeLessThan(70_000);
});

describe("refuses", () => {
  const plain = zip([hello, world]);
  const end = plain.length - 22;
  const directory = new DataView(plain.buffer).getUint32(end + 16, true);
  test("(the test looks at the right place)", () => {
    expect(new DataView(plain.buffer).getUint32(directory, true)).toBe(0x02014b50);
  });

  test.each([
    ["an empty file", new Uint8Array(0), "does not end as a zip file"],
    ["a file cut short", plain.subarray(0, -1), "does not end as a zip file"],
    ["more after the end", Uint8Array.of(...plain, 0), "does not end as a zip file"],
    ["too many entries", patched(plain, end + 10, 3, 2), "announces 3 entries and has 2"],
    ["a directory elsewhere", patched(plain, end + 16, 0), "should be"],
    ["a directory of other length", patched(plain, end + 12, 10), "should be 10 bytes"],
    ["a part of a split file", patched(plain, end + 4, 1, 2), "one part of a split zip"],
    ["a directory entry without its mark", patched(plain, directory, 0), "damaged after 0 entries"],
    ["a name longer than the directory", patched(plain, directory + 28, 9999, 2), "damaged after 0 entries"],
    ["a compressed entry", zip([hello], { method: 8 }), '"a/hello" in model.bin is compressed (method 8)'],
    ["an encrypted entry", zip([hello], { flags: 1 }), "is encrypted"],
    ["stored at other length", patched(plain, directory + 20, 4), "is compressed (method 0)"],
    ["one name twice", zip([hello, hello]), '"a/hello" twice'],
    ["two entries at one place", patched(plain, directory + 42 + 46 + 7, 0), "the next thing begins at 0"],
    [
      "an entry over the next",
      patched(patched(plain, directory + 20, 60), directory + 24, 60),
      "would take 60 bytes",
    ],
    ["a zip64 entry without its field", patched(plain, directory + 24, 0xffffffff), "needs a zip64 field"],
    [
      "a name that is not UTF-8",
      patched(plain, directory + 46, 0xff, 1),
      "A file name in model.bin is not UTF-8",
    ],
  ])("%s", async (_, bytes, message) => {
    const reading = readZip(source(bytes));
    await expect(reading).rejects.toThrow(CheckpointError);
    await expect(reading).rejects.toThrow(message);
  });

  const wide = zip([hello], { zip64: true });
  test.each([
    ["no zip64 record where the locator points", patched(wide, -34, 3), "has no zip64 record at byte 3"],
    ["a locator beyond the file", patched(wide, -34, 2 ** 40, 8), "names 1099511627776, and the file has"],
    ["end records that differ", patched(wide, -12, 7, 2), "contradict each other"],
    ["a directory beyond belief", patched(wide, -22 - 20 - 16, wide.length, 8), "should be"],
  ])("%s", async (_, bytes, message) => {
    await expect(readZip(source(bytes))).rejects.toThrow(message);
  });

  test("a directory of 17 MiB, unread", async () => {
    const size = 17 << 20;
    const bytes = patched(zip([], { zip64: true, base: size }), -22 - 20 - 16, size, 8);
    const file: ByteSource = {
      name: "huge.bin",
      size: size + bytes.length,
      read: async (offset, length) => Uint8Array.from({ length }, (_, i) => bytes[offset + i - size] ?? 0),
    };
    await expect(readZip(file)).rejects.toThrow("should be 17825792 bytes at 17825792");
    const honest: ByteSource = {
      ...file,
      read: async (offset, length) => {
        const result = await file.read(offset, length);
        const at = size + bytes.length - 22 - 20 - 8 - offset;
        if (at >= 0) result.set(new Uint8Array(8), at);
        return result;
      },
    };
    await expect(readZip(honest)).rejects.toThrow("at most 16777216 are believed");
  });

  test("a local header that is another's, or pushes the entry over the next", async () => {
    for (const [at, value] of [
      [0, 0],
      [26, 6],
      [30, 0x62],
      [28, 9],
      [8, 8],
    ] as const) {
      const file = source(patched(plain, at, value, 1));
      const entry = (await readZip(file)).get("a/hello")!;
      await expect(entryStart(file, entry)).rejects.toThrow(CheckpointError);
    }
  });

  test("an entry with another checksum, or too long a one", async () => {
    const file = source(patched(plain, 43, 0, 1));
    const entry = (await readZip(file)).get("a/hello")!;
    await expect(readEntry(file, entry, LIMIT)).rejects.toThrow("does not have the checksum");
    await expect(readEntry(file, entry, 4)).rejects.toThrow("at most 4 are believed");
  });
});
