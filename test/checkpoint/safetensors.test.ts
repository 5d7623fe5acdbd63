import { describe, expect, test } from "vitest";
import { expectTensor } from "../../src/checkpoint/checkpoint.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { openSafetensors } from "../../src/checkpoint/safetensors.ts";
import { type ByteSource, bytesSource } from "../../src/checkpoint/source.ts";
import { CheckpointError } from "../../src/errors.ts";
import { narrowToHalves } from "../../src/f16.ts";
import { folder, safetensors } from "./bytes.ts";

const open = (bytes: Uint8Array) => openSafetensors(bytesSource("model.safetensors", bytes));
const f32 = (shape: number[], begin: number, end: number) => ({
  dtype: "F32",
  shape,
  data_offsets: [begin, end],
});

describe("reading", () => {
  const values = Float32Array.from({ length: 15 }, (_, i) => i - 7.5);
  const data = new Uint8Array(60 + 30 + 30 + 4);
  data.set(new Uint8Array(values.buffer), 0);
  data.set(new Uint8Array(narrowToHalves(values).buffer), 60);
  data.set(
    new Uint8Array(Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16).buffer),
    90,
  );
  data.set(new Uint8Array(Float32Array.of(3).buffer), 120);
  const tensors = {
    __metadata__: { format: "pt" },
    scalar: f32([], 120, 124),
    half: { dtype: "F16", shape: [5, 3], data_offsets: [60, 90] },
    single: f32([5, 3], 0, 60),
    bfloat: { dtype: "BF16", shape: [15], data_offsets: [90, 120] },
    none: f32([0, 3], 60, 60),
  };

  // A space more or less in the header moves every tensor off its alignment.
  test.each([0, 1, 2, 3])("rows of every type, the header padded by %d", async (padding) => {
    const checkpoint = await open(safetensors(JSON.stringify(tensors) + " ".repeat(padding), data));
    expect([...checkpoint.tensors.keys()].sort()).toEqual(["bfloat", "half", "none", "scalar", "single"]);
    expect(checkpoint.tensors.get("half")).toEqual({ name: "half", dtype: "F16", shape: [5, 3] });
    for (const name of ["single", "half"]) {
      expect(await checkpoint.readRows(name, 0, 5)).toEqual(values);
      expect(await checkpoint.readRows(name, 3, 2)).toEqual(values.slice(9));
      expect(await checkpoint.readRows(name, 5, 0)).toEqual(new Float32Array(0));
    }
    expect(await checkpoint.readRows("bfloat", 13, 2)).toEqual(values.slice(13));
    expect(await checkpoint.readRows("scalar", 0, 1)).toEqual(Float32Array.of(3));
    expect(await checkpoint.readRows("none", 0, 0)).toEqual(new Float32Array(0));
  });

  test("touches the bytes of the rows only", async () => {
    const reads: [number, number][] = [];
    const memory = bytesSource("m", safetensors(tensors, data));
    const source: ByteSource = {
      ...memory,
      read: (offset, length) => {
        reads.push([offset, length]);
        return memory.read(offset, length);
      },
    };
    const checkpoint = await openSafetensors(source);
    const headerEnd = source.size - data.length;
    expect(reads).toEqual([
      [0, 8],
      [8, headerEnd - 8],
    ]);
    await checkpoint.readRows("half", 2, 1);
    expect(reads[2]).toEqual([headerEnd + 60 + 12, 6]);
  });

  test("refuses rows and tensors that are not there", async () => {
    const checkpoint = await open(safetensors(tensors, data));
    await expect(checkpoint.readRows("half", 4, 2)).rejects.toThrow(
      "Wanted 2 rows from row 4 of half, which has 5",
    );
    await expect(checkpoint.readRows("half", -1, 1)).rejects.toThrow(CheckpointError);
    await expect(checkpoint.readRows("quarter", 0, 1)).rejects.toThrow(
      "has no tensor quarter. It holds 5 tensors",
    );
    expect(expectTensor(checkpoint, "half", [5, 3]).dtype).toBe("F16");
    expect(() => expectTensor(checkpoint, "half", [3, 5])).toThrow(
      "model.safetensors holds half with the shape [5,3]; config.json calls for [3,5]",
    );
    expect(() => expectTensor(checkpoint, "bfloat", [15, 1])).toThrow(
      "the shape [15]; config.json calls for [15,1]",
    );
  });
});

describe("bad bytes", () => {
  const header = (tensor: object) => safetensors({ a: { ...f32([2, 2], 0, 16), ...tensor } }, 16);
  const BAD: [string, Uint8Array, string][] = [
    ["too short a file", new Uint8Array(7), "has 7 bytes, too few"],
    ["a header longer than the file", safetensors({}, 0, 3), "announces a header of 3 bytes and has 2"],
    ["a header beyond 2^53", safetensors({}, 0, 2 ** 63), "announces a header of 9223372036854776000 bytes"],
    ["an absurd header", safetensors("{}".padEnd(5 << 20)), "at most 4194304 are believed"],
    ["a header that is not UTF-8", safetensors({}, Uint8Array.of(0xff), 3), "is not UTF-8"],
    ["a header that is not JSON", safetensors("{"), "is not JSON"],
    ["a header with a byte order mark", safetensors("\ufeff{}"), "is not JSON"],
    ["a header that is no object", safetensors("[]"), "not an object"],
    ["a tensor that is no object", safetensors({ a: 1 }), 'describes "a" by number'],
    [
      "an unknown dtype",
      header({ dtype: "F31" }),
      'the tensor "a" with the dtype "F31"; wanted F32, F16 or BF16',
    ],
    ["a dtype we do not read", header({ dtype: "U32", shape: [4] }), 'the tensor "a" with the dtype U32'],
    ["a dtype from the prototype", header({ dtype: "toString" }), 'the dtype "toString"'],
    ["no dtype", header({ dtype: undefined }), "the dtype undefined"],
    ["no shape", header({ shape: undefined }), "the shape undefined"],
    ["a negative size", header({ shape: [-2, -2] }), "the shape [-2,-2]"],
    ["a fraction of a size", header({ shape: [0.5, 8] }), "the shape [0.5,8]"],
    ["a size beyond 2^53", header({ shape: [1e300, 0] }), "the shape [1e+300,0]"],
    ["nine dimensions", header({ shape: Array(9).fill(1) }), "at most 8 sizes"],
    ["a shape that overflows", header({ shape: [2 ** 52, 2 ** 52] }), "which takes 8.11"],
    [
      "a shape of other length",
      header({ shape: [2, 3] }),
      "takes 24 bytes, at data_offsets [0,16], which are 16",
    ],
    ["offsets that run backwards", header({ data_offsets: [16, 0] }), "at data_offsets [16,0]; wanted"],
    ["three offsets", header({ data_offsets: [0, 8, 16] }), "at data_offsets [0,8,16]; wanted"],
    ["negative offsets", header({ data_offsets: [-16, 0] }), "at data_offsets [-16,0]; wanted"],
    ["overlap", safetensors({ a: f32([4], 0, 16), b: f32([4], 12, 28) }, 28), 'holds "b" from byte'],
    [
      "overlap by a byte",
      safetensors({ a: f32([4], 0, 16), b: f32([4], 15, 31) }, 31),
      'holds "b" from byte',
    ],
    ["the same bytes twice", safetensors({ a: f32([4], 0, 16), b: f32([4], 0, 16) }, 16), "tensors overlap"],
    [
      "a gap",
      safetensors({ a: f32([4], 0, 16), b: f32([4], 20, 36) }, 36),
      'has 4 bytes between "a" and "b"',
    ],
    ["a gap at the start", safetensors({ a: f32([4], 4, 20) }, 20), "has 4 bytes between the header and"],
    [
      "metadata that is no string",
      safetensors({ __metadata__: { version: { major: 1 } } }),
      'has "version" in its __metadata__ as {"major":1}; wanted a string',
    ],
    ["a gap at the end", safetensors({ a: f32([4], 0, 16) }, 17), 'has 1 bytes after "a"'],
    ["offsets past the end", safetensors({ a: f32([4], 0, 16) }, 15), "it is cut short"],
    [
      "a tensor twice",
      safetensors(
        `{"a":${JSON.stringify(f32([4], 0, 16))},"\\u0061":${JSON.stringify(f32([4], 0, 16))}}`,
        16,
      ),
      'the key "a" twice',
    ],
    [
      "a shape twice",
      safetensors(`{"a":{"dtype":"F32","shape":[1],"shape" : [4],"data_offsets":[0,16]}}`, 16),
      'the key "shape" twice',
    ],
  ];
  test.each(BAD)("%s", async (_, bytes, message) => {
    const opening = open(bytes);
    await expect(opening).rejects.toThrow(CheckpointError);
    await expect(opening).rejects.toThrow(message);
  });

  const deep = (levels: number) => "[".repeat(levels) + "]".repeat(levels);
  test.each([
    ["a tensor", `{"a":${deep(1e6)}}`],
    ["a dtype", `{"a":{"dtype":${deep(5000)},"shape":[],"data_offsets":[0,4]}}`],
    ["a shape", `{"a":{"dtype":"F32","shape":${deep(5000)},"data_offsets":[0,4]}}`],
    ["metadata", `{"__metadata__":{"a":${deep(5000)}}}`],
  ])("deep nesting of %s", async (_, text) => {
    const opening = open(safetensors(text));
    await expect(opening).rejects.toThrow(CheckpointError);
    await expect(opening).rejects.toThrow("The header of model.safetensors is nested more than 64 deep");
  });

  test("nesting that is not deep is left to who reads the value", async () => {
    await expect(open(safetensors(`{"a":{"dtype":${deep(62)}}}`))).rejects.toThrow("with the dtype [[[");
  });
});

describe("a folder", () => {
  const shard = (names: string[]) =>
    safetensors(
      Object.fromEntries(names.map((name, i) => [name, f32([1], 4 * i, 4 * i + 4)])),
      new Uint8Array(Float32Array.from(names, (name) => name.charCodeAt(0)).buffer),
    );
  const INDEX = "model.safetensors.index.json";
  const whole = {
    [INDEX]: {
      metadata: { total_size: 12 },
      weight_map: { a: "1.safetensors", b: "2.safetensors", c: "1.safetensors" },
    },
    "1.safetensors": shard(["a", "c"]),
    "2.safetensors": shard(["b"]),
  };

  test("of shards whose headers together are larger than any checkpoint's is refused before they are all read", async () => {
    // Each is bounded by itself: 4 MiB, which are metadata here.
    const padding = "x".repeat((4 << 20) - 100);
    const name = (i: number) => `${i}.safetensors`;
    const shards = Array.from({ length: 12 }, (_, i) => {
      const tensor = { [`t${i}`]: { dtype: "F32", shape: [1], data_offsets: [0, 4] } };
      return [name(i), safetensors({ __metadata__: { padding }, ...tensor }, 4)] as const;
    });
    const load = (count: number) => {
      const used = Object.fromEntries(shards.slice(0, count));
      const map = Object.fromEntries(Array.from({ length: count }, (_, i) => [`t${i}`, name(i)]));
      return openCheckpoint(folder({ ...used, [INDEX]: { weight_map: map } }));
    };
    const checkpoint = await load(8);
    // What is read afterwards is no header.
    for (let i = 0; i < 20; i++)
      expect(await checkpoint.readRows(`t${i % 8}`, 0, 1)).toEqual(Float32Array.of(0));
    await expect(load(12)).rejects.toThrow(CheckpointError);
    await expect(load(12)).rejects.toThrow(
      `The shards of ${INDEX} have more than 33554432 bytes of headers, at 8.safetensors`,
    );
  });

  test("of one file", async () => {
    const checkpoint = await openCheckpoint(folder({ "model.safetensors": shard(["a"]) }));
    expect(await checkpoint.readRows("a", 0, 1)).toEqual(Float32Array.of(97));
  });

  test("of shards", async () => {
    const checkpoint = await openCheckpoint(folder(whole));
    expect([...checkpoint.tensors.keys()].sort()).toEqual(["a", "b", "c"]);
    for (const name of ["a", "b", "c"]) {
      expect(await checkpoint.readRows(name, 0, 1)).toEqual(Float32Array.of(name.charCodeAt(0)));
    }
    await expect(checkpoint.readRows("d", 0, 1)).rejects.toThrow("has no tensor d");
  });

  const index = (weightMap: unknown) => ({ ...whole, [INDEX]: { weight_map: weightMap } });
  test.each([
    ["no weights", {}, "The folder has no weights"],
    ["an index without a map", { [INDEX]: {} }, "has no weight_map"],
    ["an empty map", index({}), "names 0 shards"],
    ["an absurd index", { [INDEX]: new Uint8Array(5 << 20) }, "has 5242880 bytes, and a text file"],
    ["a map to a number", index({ a: 1 }), 'maps "a" to number'],
    ["a map out of the folder", index({ a: "../a" }), "wanted the plain name"],
    [
      "too many shards",
      index(Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [i, `${i}`]))),
      "names 5000 shards",
    ],
    [
      "a missing shard",
      index({ a: "1.safetensors", b: "3.safetensors" }),
      "puts tensors into 3.safetensors, which is not there: fetch that file too",
    ],
    [
      "missing shards, all of them at once",
      index({ a: "1.safetensors", b: "3.safetensors", c: "4.safetensors" }),
      "puts tensors into 3.safetensors, 4.safetensors, which are not there: fetch those files too",
    ],
    [
      "missing shards without end",
      index(Object.fromEntries(Array.from({ length: 100 }, (_, i) => [i, `${i}.bin`]))),
      "62.bin, 63.bin and 36 more, which are not there",
    ],
    ["Meta's layout", { "consolidated.00.pth": {}, "params.json": {} }, "The folder is in Meta's own layout"],
    [
      "Meta's layout without its weights",
      { "params.json": {} },
      "with transformers' convert_llama_weights_to_hf.py",
    ],
    [
      "shards without their index",
      { "pytorch_model-00001-of-00028.bin": {} },
      "has shards (pytorch_model-00001-of-00028.bin) and no index of them: fetch pytorch_model.bin.index.json too",
    ],
    [
      "shards of the other form without their index",
      { "model-00001-of-00003.safetensors": {} },
      "fetch model.safetensors.index.json too",
    ],
    [
      "a missing tensor",
      index({ a: "1.safetensors", d: "1.safetensors" }),
      "puts d into 1.safetensors, and it is in none",
    ],
    [
      "a tensor elsewhere",
      index({ a: "1.safetensors", b: "1.safetensors", x: "2.safetensors" }),
      "puts b into 1.safetensors, and it is in 2.safetensors",
    ],
    [
      "a tensor in two shards",
      { ...whole, "2.safetensors": shard(["b", "a"]) },
      "a is both in 1.safetensors and in 2.safetensors",
    ],
    ["a damaged shard", { ...whole, "2.safetensors": shard(["b"]).subarray(0, -1) }, "2.safetensors holds"],
  ])("refuses %s", async (_, files, message) => {
    const opening = openCheckpoint(folder(files));
    await expect(opening).rejects.toThrow(CheckpointError);
    await expect(opening).rejects.toThrow(message);
  });
});
