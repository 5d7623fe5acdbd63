import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { fileSource, openFolder } from "../../node/files.ts";
import { rowsOf } from "../../src/checkpoint/checkpoint.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { type ByteSource, bytesSource } from "../../src/checkpoint/source.ts";
import { openTorch } from "../../src/checkpoint/torch.ts";
import { CheckpointError } from "../../src/errors.ts";
import { widenHalves } from "../../src/f16.ts";
import { folder } from "./bytes.ts";
import { python } from "./python.ts";
import { op, pickle, type SavedTensor, stateDictPickle, torchEntries, torchFile, zip } from "./torch-file.ts";

const fixture = (name: string) => join(import.meta.dirname, "../fixtures/torch", name);

/** Every tensor of the file, whole and row by row, against what PyTorch wrote beside it. */
async function compare(source: ByteSource, expected: Expected): Promise<void> {
  const checkpoint = await openTorch(source);
  expect([...checkpoint.tensors.keys()]).toEqual(Object.keys(expected));
  for (const [name, { dtype, shape, values }] of Object.entries(expected)) {
    const tensor = checkpoint.tensors.get(name)!;
    expect(tensor.shape).toEqual(shape);
    expect(tensor.dtype).toBe(
      { "torch.float16": "F16", "torch.bfloat16": "BF16", "torch.float32": "F32" }[dtype],
    );
    const { rows, columns } = rowsOf(shape);
    const whole = await checkpoint.readRows(name, 0, rows);
    expect([...whole], name).toEqual(values);
    for (let row = 0; row < rows; row++) {
      const one = await checkpoint.readRows(name, row, 1);
      expect(one, `${name}, row ${row}`).toEqual(whole.subarray(row * columns, (row + 1) * columns));
      // As they are stored, where that is how they are wanted.
      const halves = await checkpoint.readHalves!(name, row, 1);
      expect(halves !== undefined, name).toBe(tensor.dtype === "F16" && name !== "transposed");
      if (halves) expect(widenHalves(halves)).toEqual(one);
    }
  }
}
type Expected = Record<string, { dtype: string; shape: number[]; values: number[] }>;

describe("files that PyTorch 1.13 wrote", () => {
  test("a state dict: every type, shared storages, offsets, strides, a parameter", async () => {
    await compare(
      await fileSource(fixture("zip.bin")),
      JSON.parse(readFileSync(fixture("zip.json"), "utf8")),
    );
  });

  test.each([
    ["legacy.bin", "is in the format PyTorch had before 1.6"],
    ["module.bin", 'names "torch.nn.modules.linear.Linear". A state dict holds tensors'],
    ["training.bin", 'holds a dict under "state_dict"; wanted tensors only'],
    ["long.bin", 'names "torch.LongStorage"'],
    ["list.bin", "which is not one of those that hold tensors"],
    ["protocol4.bin", "is of protocol 4; wanted 2"],
    ["expanded.bin", "builds a tensor [4] with strides [0] from element 0 of a storage of 1"],
  ])("%s is refused", async (name, message) => {
    const opening = openTorch(await fileSource(fixture(name)));
    await expect(opening).rejects.toThrow(CheckpointError);
    await expect(opening).rejects.toThrow(message);
  });
});

describe("PyTorch itself", () => {
  test.skipIf(!python)("what this machine's PyTorch saves is read exactly", async () => {
    const directory = mkdtempSync(join(tmpdir(), "ziya-torch-"));
    try {
      execFileSync(python!, [join(import.meta.dirname, "make_fixtures.py"), directory]);
      const expected = JSON.parse(readFileSync(join(directory, "zip.json"), "utf8"));
      await compare(await fileSource(join(directory, "zip.bin")), expected);
      await expect(openTorch(await fileSource(join(directory, "legacy.bin")))).rejects.toThrow("before 1.6");
      await expect(openCheckpoint(openFolder(directory))).rejects.toThrow("The folder has no weights");
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

const float = (name: string, values: readonly number[], more: Partial<SavedTensor> = {}): SavedTensor => ({
  name,
  dtype: "F32",
  shape: [values.length],
  bytes: new Uint8Array(Float32Array.from(values).buffer),
  ...more,
});
const open = (bytes: Uint8Array) => openTorch(bytesSource("pytorch_model.bin", bytes));

test("a tensor is refused when the storage that it shares is damaged anywhere, read alone or not", async () => {
  const stateDict = stateDictPickle([
    float("a", [1, 2, 3, 4], { length: 10, offset: 1 }),
    float("b", [1, 2], { key: 0, length: 10, offset: 6 }),
  ]);
  const storage = Float32Array.from({ length: 10 }, (_, i) => i);
  for (const element of storage.keys()) {
    const file = zip(torchEntries(stateDict, [new Uint8Array(storage.buffer)]));
    expect(await (await open(file)).readRows("b", 0, 2)).toEqual(Float32Array.of(6, 7));
    file[Buffer.from(file).indexOf(new Uint8Array(storage.buffer)) + 4 * element]! ^= 1;
    for (const [name, rows] of [
      ["a", 4],
      ["b", 2],
    ] as const) {
      await expect((await open(file)).readRows(name, 0, rows)).rejects.toThrow("does not have the checksum");
    }
  }
});

test("shards are found through the index", async () => {
  const checkpoint = await openCheckpoint(
    folder({
      "pytorch_model.bin.index.json": { weight_map: { a: "pytorch_model-1.bin", b: "pytorch_model-2.bin" } },
      "pytorch_model-1.bin": torchFile([float("a", [1, 2])]),
      "pytorch_model-2.bin": torchFile([float("b", [3])], { zip64: true }),
    }),
  );
  expect(await checkpoint.readRows("a", 1, 1)).toEqual(Float32Array.of(2));
  expect(await checkpoint.readRows("b", 0, 1)).toEqual(Float32Array.of(3));
});

test("a tensor costs its own bytes, and its local header once", async () => {
  const memory = bytesSource("m", torchFile([float("a", [1, 2, 3, 4], { shape: [4, 1] })]));
  const reads: number[] = [];
  const checkpoint = await openTorch({
    ...memory,
    read: (offset, length) => {
      reads.push(length);
      return memory.read(offset, length);
    },
  });
  reads.length = 0;
  await checkpoint.readRows("a", 1, 2);
  await checkpoint.readRows("a", 3, 1);
  expect(reads).toEqual([30 + "archive/data/0".length, 8, 4]);
  await expect(checkpoint.readRows("a", 3, 2)).rejects.toThrow("Wanted 2 rows from row 3 of a, which has 4");
});

test("the stride of a dimension of one element is of no account, however large", async () => {
  const values = Array.from({ length: 40 }, (_, i) => i);
  const checkpoint = await open(
    torchFile([float("a", values, { shape: [13, 1], strides: [3, Number.MAX_SAFE_INTEGER] })]),
  );
  const wanted = Float32Array.from({ length: 13 }, (_, i) => 3 * i);
  expect(await checkpoint.readRows("a", 0, 13)).toEqual(wanted);
  expect(await checkpoint.readRows("a", 4, 2)).toEqual(wanted.subarray(4, 6));
  expect((await checkpoint.readRows("a", 13, 0)).length).toBe(0);
});

describe("a damaged weight is refused when the last of its storage is read", () => {
  const values = Array.from({ length: 60 }, (_, i) => i);
  test.each<[string, Partial<SavedTensor>, rows: number]>([
    ["a vector", {}, 60],
    ["a matrix", { shape: [12, 5] }, 12],
    ["a part of a storage", { shape: [4, 5], offset: 20 }, 4],
    ["some columns of a larger matrix", { shape: [12, 2], strides: [5, 1], offset: 1 }, 12],
    ["every other row", { shape: [6, 5], strides: [10, 1] }, 6],
    ["a matrix laid by columns", { shape: [12, 5], strides: [1, 12] }, 12],
  ])("%s", async (_, more, rows) => {
    const file = torchFile([float("a", values, more)]);
    const whole = await (await open(file)).readRows("a", 0, rows);
    // The first and the last number of the storage, and some between.
    for (const element of [0, 7, 21, 22, 23, 59]) {
      const damaged = file.slice();
      const at = Buffer.from(file).indexOf(Buffer.from(Float32Array.from(values).buffer));
      damaged[at + 4 * element + 3]! ^= 1;
      for (const step of [1, 2, 5, rows]) {
        const [good, bad] = [await open(file), await open(damaged)];
        for (let row = 0; row < rows; row += step) {
          const count = Math.min(step, rows - row);
          const columns = whole.length / rows;
          const wanted = whole.subarray(row * columns, (row + count) * columns);
          expect(await good.readRows("a", row, count)).toEqual(wanted);
          const reading = bad.readRows("a", row, count);
          if (row + count === rows)
            await expect(reading).rejects.toThrow("archive/data/0 in pytorch_model.bin");
          else await reading;
        }
      }
    }
  });
});

describe("refuses", () => {
  const values = [1, 2, 3, 4];
  const call = (module: string, name: string, ...args: (number | readonly number[])[]) =>
    pickle(op.PROTO2, op.GLOBAL, module, name, op.MARK, ...args, op.TUPLE, op.REDUCE, op.STOP);
  const withPickle = (stateDict: Uint8Array) => zip(torchEntries(stateDict, []));

  test.each([
    [
      "a web page",
      new TextEncoder().encode("<!DOCTYPE html>"),
      "a page or Git LFS pointer was saved in its place",
    ],
    ["a zip without data.pkl", zip([{ name: "PK", bytes: new Uint8Array(3) }]), "with 0 entries data.pkl"],
    [
      "two pickles",
      zip([...torchEntries(stateDictPickle([]), []), { name: "b/data.pkl", bytes: stateDictPickle([]) }]),
      "with 2 entries data.pkl",
    ],
    [
      "big-endian numbers",
      zip([
        ...torchEntries(stateDictPickle([]), []),
        { name: "archive/byteorder", bytes: new TextEncoder().encode("big") },
      ]),
      'holds "big"-endian numbers',
    ],
    ["a call of the system", withPickle(call("os", "system", op.text("true"))), 'names "os.system"'],
    ["eval", withPickle(call("builtins", "eval", op.text("1"))), 'names "builtins.eval"'],
    [
      "a name out of the prototype",
      withPickle(call("__proto__", "constructor")),
      'names "__proto__.constructor"',
    ],
    [
      "a call of a storage",
      withPickle(call("torch", "FloatStorage")),
      "calls torch.FloatStorage with 0 arguments",
    ],
    [
      "a dict made of something",
      withPickle(call("collections", "OrderedDict", op.int(1))),
      "calls collections.OrderedDict with 1 arguments",
    ],
    [
      "a tensor without a storage",
      withPickle(
        call("torch._utils", "_rebuild_tensor_v2", op.NONE, op.NONE, op.NONE, op.NONE, op.NONE, op.NONE),
      ),
      "builds a tensor without a storage",
    ],
    [
      "a parameter without a tensor",
      withPickle(call("torch._utils", "_rebuild_parameter", op.NONE, op.FALSE, op.NONE)),
      "calls torch._utils._rebuild_parameter",
    ],
    [
      "a strange persistent id",
      withPickle(pickle(op.PROTO2, op.text("storage"), op.BINPERSID, op.STOP)),
      "has the persistent id the string storage",
    ],
    [
      "a storage without an entry",
      zip(torchEntries(stateDictPickle([float("a", values)]), [])),
      "there is no such entry",
    ],
    [
      "a storage of other length",
      torchFile([float("a", values, { length: 5 })]),
      "needs 20 bytes of archive/data/0 for a, and that entry has 16",
    ],
    [
      "a negative length",
      torchFile([float("a", values, { length: -4 })]),
      "a persistent id that is no storage",
    ],
    [
      "an offset past the end",
      torchFile([float("a", values, { offset: 1 })]),
      "from element 1 of a storage of 4",
    ],
    ["a negative offset", torchFile([float("a", values, { offset: -1 })]), "do not fit together"],
    ["a shape past the end", torchFile([float("a", values, { shape: [5] })]), "builds a tensor [5]"],
    [
      "a shape beyond 2^53",
      torchFile([float("a", values, { shape: [2 ** 52, 2 ** 52] })]),
      "builds a tensor [4503599627370496,",
    ],
    [
      "strides past the end",
      torchFile([float("a", values, { shape: [2, 2], strides: [3, 1] })]),
      "with strides [3,1]",
    ],
    ["strides that run backwards", torchFile([float("a", values, { strides: [-1] })]), "do not fit together"],
    ["strides of another shape", torchFile([float("a", values, { strides: [1, 1] })]), "do not fit together"],
    [
      "nine dimensions",
      torchFile([float("a", values, { shape: Array(9).fill(1) })]),
      "a tensor of 9 dimensions",
    ],
    ["one name twice", torchFile([float("a", values), float("a", values)]), 'sets the key "a" twice'],
    [
      "a number among the tensors",
      withPickle(pickle(op.PROTO2, op.EMPTY_DICT, op.text("epoch"), op.int(3), op.SETITEM, op.STOP)),
      'holds the number 3 under "epoch"',
    ],
    [
      "no dict at all",
      withPickle(pickle(op.PROTO2, op.NONE, op.STOP)),
      "holds None; wanted a dict of tensors",
    ],
  ])("%s", async (_, bytes, message) => {
    const opening = open(bytes);
    await expect(opening).rejects.toThrow(CheckpointError);
    await expect(opening).rejects.toThrow(message);
  });

  test("a large tensor that is not contiguous, before it is read", async () => {
    const side = 5000; // 100 MB, which are not there: directory and header alone are read
    const tensor = float("a", [], { shape: [side, side], strides: [1, side], length: side * side });
    const [stateDict, storage] = torchEntries(stateDictPickle([tensor]), [new Uint8Array(0)]);
    const small = zip([stateDict!, storage!]);
    const hole = side * side * 4;
    const end = small.length - 22;
    const view = new DataView(small.buffer);
    const directory = view.getUint32(end + 16, true);
    const second = directory + 46 + stateDict!.name.length;
    view.setUint32(second + 20, hole, true);
    view.setUint32(second + 24, hole, true);
    view.setUint32(end + 16, directory + hole, true);
    const opening = openTorch({
      name: "huge.bin",
      size: small.length + hole,
      async read(offset, length) {
        return Uint8Array.from({ length }, (_, i) => {
          const at = offset + i;
          return at < directory ? small[at]! : at < directory + hole ? 0 : small[at - hole]!;
        });
      },
    });
    await expect(opening).rejects.toThrow(
      "a has the shape [5000,5000] with strides [1,5000], which is not contiguous, and lies in 100000000 bytes",
    );
  });
});
