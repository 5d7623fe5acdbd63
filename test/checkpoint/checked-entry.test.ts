import { describe, expect, test } from "vitest";
import { CheckedEntry, type Range } from "../../src/checkpoint/checked-entry.ts";
import { type ByteSource, bytesSource } from "../../src/checkpoint/source.ts";
import { entryStart, readZip } from "../../src/checkpoint/zip.ts";
import { CheckpointError } from "../../src/errors.ts";
import { randomStream } from "../support/random.ts";
import { zip } from "./torch-file.ts";

const NAME = "archive.bin";
const SIZE = 100;
const bytes = Uint8Array.from({ length: SIZE }, (_, at) => at * 7);
const file = zip([
  { name: "a", bytes },
  { name: "b", bytes: bytes.slice(1) },
]);
const whole: Range = [0, SIZE];

/** The entry "a" of a file, and the ranges of it that were read. */
async function open(of: Uint8Array) {
  const memory = bytesSource(NAME, of);
  const entry = (await readZip(memory)).get("a")!;
  const start = await entryStart(memory, entry);
  const reads: Range[] = [];
  const source: ByteSource = {
    ...memory,
    read(offset, length) {
      if (offset >= start) reads.push([offset - start, offset - start + length]);
      return memory.read(offset, length);
    },
  };
  return { checked: new CheckedEntry(source, entry), reads, start };
}

/** The file with one bit of its entry "a" turned over. */
async function damaged(at: number): Promise<Uint8Array> {
  const copy = file.slice();
  copy[(await open(file)).start + at]! ^= 16;
  return copy;
}

async function readAll(checked: CheckedEntry, ranges: readonly Range[], tensor = whole): Promise<void> {
  for (const [from, to] of ranges) {
    expect(await checked.read(from, to - from, tensor)).toEqual(bytes.subarray(from, to));
  }
}

describe("the read that completes an entry is refused if the entry is damaged", () => {
  test.each<[string, Range[]]>([
    ["at once", [whole]],
    [
      "in order",
      [
        [0, 30],
        [30, 31],
        [31, 100],
      ],
    ],
    [
      "from behind",
      [
        [70, 100],
        [20, 70],
        [0, 20],
      ],
    ],
    [
      "some of it twice",
      [
        [10, 60],
        [40, 90],
        [0, 50],
        [10, 20],
        [85, 100],
      ],
    ],
    [
      "the middle last",
      [
        [0, 10],
        [90, 100],
        [20, 30],
        [50, 50],
        [0, 100],
      ],
    ],
  ])("%s", async (_, ranges) => {
    await readAll((await open(file)).checked, ranges);
    for (const at of [0, 29, 30, 55, 99]) {
      const { checked } = await open(await damaged(at));
      const last = ranges.at(-1)!;
      for (const [from, to] of ranges.slice(0, -1)) await checked.read(from, to - from, whole);
      const reading = checked.read(last[0], last[1] - last[0], whole);
      await expect(reading).rejects.toThrow(CheckpointError);
      await expect(reading).rejects.toThrow(`a in ${NAME} does not have the checksum`);
      await expect(checked.read(3, 4, whole)).rejects.toThrow("does not have the checksum");
    }
  });

  test("whatever the ranges", async () => {
    const next = randomStream(5);
    for (let round = 0; round < 50; round++) {
      const good = (await open(file)).checked;
      const bad = (await open(await damaged(Math.floor(next() * SIZE)))).checked;
      const seen = new Set<number>();
      while (seen.size < SIZE) {
        const from = Math.floor(next() * SIZE);
        const count = Math.floor(next() * next() * (SIZE + 1 - from));
        for (let i = from; i < from + count; i++) seen.add(i);
        expect(await good.read(from, count, whole)).toEqual(bytes.subarray(from, from + count));
        const refused = await bad.read(from, count, whole).then(
          () => false,
          () => true,
        );
        expect(refused).toBe(count > 0 && seen.size === SIZE);
      }
    }
  });
});

describe("an entry that several tensors share", () => {
  const tensor: Range = [40, 60];

  test("is read to its end when one of them was, and once", async () => {
    const { checked, reads } = await open(file);
    await readAll(checked, [[10, 20]], [10, 30]);
    await readAll(checked, [[50, 60]], tensor);
    expect(reads.splice(0)).toEqual([
      [10, 20],
      [50, 60],
    ]);
    await readAll(checked, [[40, 50]], tensor);
    expect(reads.splice(0)).toEqual([
      [40, 50],
      [0, 10],
      [20, 40],
      [60, 100],
    ]);
    await readAll(checked, [tensor], tensor);
    await readAll(checked, [[0, 30]], [0, 30]);
    expect(reads).toEqual([tensor, [0, 30]]);
  });

  test("is refused with the first of them that is complete, wherever it is damaged", async () => {
    for (const at of [0, 39, 40, 59, 60, 99]) {
      const { checked } = await open(await damaged(at));
      await checked.read(40, 19, tensor);
      await expect(checked.read(59, 1, tensor)).rejects.toThrow("does not have the checksum");
      await expect(checked.read(0, 1, [0, 10])).rejects.toThrow("does not have the checksum");
    }
  });

  test("is read to its end once for all who complete one at a time", async () => {
    const { checked, reads } = await open(file);
    const tensors: Range[] = [
      [0, 10],
      [10, 20],
      [20, 30],
    ];
    await Promise.all(tensors.map((tensor) => readAll(checked, [tensor], tensor)));
    expect(reads.filter(([, to]) => to === SIZE).length).toBe(1);
  });
});

test("two reads at a time complete an entry as one after the other do", async () => {
  const parts: Range[] = [
    [50, 100],
    [0, 50],
  ];
  const { checked } = await open(file);
  await Promise.all(parts.map((part) => readAll(checked, [part])));
  const bad = (await open(await damaged(7))).checked;
  const settled = await Promise.allSettled(parts.map(([from, to]) => bad.read(from, to - from, whole)));
  expect(settled.map(({ status }) => status)).toContain("rejected");
});

test("a read that failed can be tried again, of whatever", async () => {
  const memory = bytesSource(NAME, await damaged(30));
  const entry = (await readZip(memory)).get("a")!;
  // The local header, what is wanted, what lies before it and what lies behind: each fails once.
  const fails = [true, false, true, false, true, false, false, true];
  const read: ByteSource["read"] = async (offset, length) => {
    if (fails.shift()) throw new Error("the line is down");
    return memory.read(offset, length);
  };
  const checked = new CheckedEntry({ ...memory, read }, entry);
  for (let i = 0; i < 4; i++)
    await expect(checked.read(40, 20, [40, 60])).rejects.toThrow("the line is down");
  await expect(checked.read(40, 20, [40, 60])).rejects.toThrow("does not have the checksum");
});

describe("checksums of zero", () => {
  /** Zeroes the checksums that the directory gives: of the last `count` entries. */
  const without = (of: Uint8Array, count: number) => {
    const copy = Buffer.from(of);
    for (let i = 0, record = copy.length; i < count; i++) {
      record = copy.lastIndexOf("PK\u0001\u0002", record - 1);
      copy.fill(0, record + 16, record + 20);
    }
    return new Uint8Array(copy);
  };

  test("are none when all entries have them, as PyTorch writes when it is told to", async () => {
    const { checked, reads } = await open(without(file, 2));
    await readAll(checked, [[0, 10]], [0, 10]);
    expect(reads).toEqual([[0, 10]]);
  });

  test("are wrong when others are not zero", async () => {
    const other = zip([
      { name: "b", bytes },
      { name: "a", bytes },
    ]);
    const { checked } = await open(without(other, 1));
    await expect(checked.read(0, SIZE, whole)).rejects.toThrow("does not have the checksum");
  });
});
