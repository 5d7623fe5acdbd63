import { describe, expect, test, vi } from "vitest";
import {
  abortable,
  blobSource,
  bytesSource,
  checkFileName,
  readText,
  refusePointers,
} from "../../src/checkpoint/source.ts";
import { CheckpointError } from "../../src/errors.ts";
import { loadEngine } from "../../src/generate/load-engine.ts";

const bytes = Uint8Array.from({ length: 100 }, (_, i) => i);

describe.each([
  ["memory", bytesSource("numbers", bytes)],
  ["Blob", blobSource("numbers", new Blob([bytes]))],
])("%s", (_, source) => {
  test("reads by range", async () => {
    expect(source.size).toBe(100);
    expect([...(await source.read(7, 3))]).toEqual([7, 8, 9]);
    expect((await source.read(0, 100)).length).toBe(100);
    expect((await source.read(100, 0)).length).toBe(0);
  });

  test.each([
    [98, 3],
    [101, 0],
    [-1, 2],
    [0, -1],
    [0.5, 1],
    [0, Number.NaN],
    [2 ** 53, 1],
  ])("refuses bytes from %d, %d of them", async (offset, length) => {
    const reading = source.read(offset, length);
    await expect(reading).rejects.toThrow(CheckpointError);
    await expect(reading).rejects.toThrow(`${length} bytes at ${offset} of numbers, which has 100`);
  });
});

test("a Blob that fails says to choose the file again", async () => {
  const blob = new Blob([bytes]);
  blob.slice = () => {
    throw new DOMException("gone", "NotReadableError");
  };
  await expect(blobSource("weights", blob).read(0, 1)).rejects.toThrow("choose the file again");
});

describe("text", () => {
  const text = (content: Uint8Array) => bytesSource("config.json", content);

  test("is UTF-8", async () => {
    expect(await readText(text(new TextEncoder().encode("子牙 {}")))).toBe("子牙 {}");
    await expect(readText(text(Uint8Array.of(0x7b, 0xff)))).rejects.toThrow("config.json is not UTF-8");
  });

  test("is bounded", async () => {
    await expect(readText(text(bytes), 99)).rejects.toThrow(
      "has 100 bytes, and a text file of a checkpoint at most 99",
    );
  });
});

test("file names are plain", () => {
  for (const name of ["model-00001-of-00028.bin", "a b", "..a", "权重.bin"]) checkFileName(name, "it");
  for (const name of ["", ".", "..", "../x", "a/b", "a\\b", "C:x", "a\0b", "x".repeat(256)]) {
    expect(() => checkFileName(name, "model.index.json")).toThrow("wanted the plain name of a file");
  }
});

test("many reads at a time stop with one signal, and Node takes none for a leak", async () => {
  const warned = vi.fn();
  process.on("warning", warned);
  const stop = new AbortController();
  const stuck = { name: "weights", size: 100, read: () => new Promise<Uint8Array>(() => {}) };
  const file = (await abortable(async () => stuck, stop.signal)("weights"))!;
  const reads = Array.from({ length: 20 }, () => file.read(0, 1));
  await new Promise(setImmediate);
  const reason = new Error("enough");
  stop.abort(reason);
  const ends = await Promise.allSettled(reads);
  expect(ends).toEqual(Array(20).fill({ status: "rejected", reason }));
  process.off("warning", warned);
  expect(warned.mock.calls).toEqual([]);
});

describe("a Git LFS pointer", () => {
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${"0".repeat(64)}\nsize 26000000000\n`;
  const opening = (name: string, text: string) =>
    refusePointers(async () => bytesSource(name, new TextEncoder().encode(text)))(name);

  test.each(["tokenizer.model", "model.safetensors", "pytorch_model.bin.index.json", "config.json"])(
    "in the place of %s is refused",
    async (name) => {
      await expect(opening(name, pointer)).rejects.toThrow(CheckpointError);
      await expect(opening(name, pointer)).rejects.toThrow(
        `${name} is a Git LFS pointer, not the file itself: run \`git lfs pull\` in its folder, or download the file.`,
      );
    },
  );

  test("is refused whatever host opens the files", async () => {
    const gpu = {} as GPU;
    const host = { gpu, readShader: async () => "" };
    const bytes = new TextEncoder().encode(pointer);
    const open = async (name: string) => (name === "tokenizer.model" ? bytesSource(name, bytes) : undefined);
    const loading = loadEngine(host, open);
    await expect(loading).rejects.toThrow("tokenizer.model is a Git LFS pointer");
  });

  test("is told from other files", async () => {
    for (const text of ["", "{}", pointer.replace("v1", "v2"), pointer + " ".repeat(1024)]) {
      expect((await opening("a", text))?.size).toBe(text.length);
    }
    expect(await refusePointers(async () => undefined)("a")).toBeUndefined();
  });
});
