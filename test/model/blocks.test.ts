import { expect, test, vi } from "vitest";
import type { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import type { Matrix } from "../../src/kernels/matrix.ts";
import { type Config, parseConfig } from "../../src/model/config.ts";
import { uploadWeights } from "../../src/model/upload.ts";
import { allocateWeights, destroyWeights, tensorShapes } from "../../src/model/weights.ts";
import { packRows } from "../../src/quantize/pack.ts";
import { type PackedRows, storedBytes, type WeightFormat } from "../../src/stored.ts";
import { configJson } from "../support/checkpoint.ts";
import { runAndRead, useGpu } from "../support/gpu.ts";
import { randomFloats } from "../support/random.ts";

const gpu = useGpu();
const EMBEDDING = "model.embed_tokens.weight";

function configOf(rows: number, columns: number): Config {
  const heads = { num_attention_heads: columns / 32, num_hidden_layers: 1, intermediate_size: 32 };
  return parseConfig(
    configJson({ hidden_size: columns, vocab_size: rows, tie_word_embeddings: true, ...heads }),
  );
}

/** Uploads a model, of whose embeddings `read` gives rows and whose other weights are 0; reads them back. */
async function upload(
  config: Config,
  format: WeightFormat,
  read: (first: number, count: number) => Float32Array,
  packed?: (first: number, count: number) => { words: Uint32Array; scales: Uint32Array },
) {
  const blocks: number[] = [];
  const zeros = (name: string, count: number) =>
    new Float32Array(count * (tensorShapes(config).get(name)![1] ?? 1));
  const checkpoint: Checkpoint = {
    name: "virtual",
    tensors: new Map([...tensorShapes(config)].map(([name, shape]) => [name, { name, dtype: "F32", shape }])),
    readRows: async (name, first, count) => {
      if (name !== EMBEDDING) return zeros(name, count);
      blocks.push(count);
      return read(first, count);
    },
    ...(packed && {
      packed: {
        format,
        readRows: async (name, first, count) => {
          if (name === EMBEDDING) {
            blocks.push(count);
            return packed(first, count);
          }
          const rows = packRows(format, zeros(name, count), tensorShapes(config).get(name)![1]!);
          return { words: rows.words, scales: rows.scales! };
        },
      },
    }),
  };
  const weights = allocateWeights(gpu(), config, () => format);
  const progress: number[] = [];
  try {
    await uploadWeights(gpu(), weights, checkpoint, {
      onProgress: (loaded, total) => progress.push(loaded / total),
    });
    return { blocks, progress, stored: await readBack(weights.embed) };
  } finally {
    destroyWeights(weights);
  }
}

/** The words and scales of a matrix, slab after slab, as packRows() would give them at once. */
async function readBack({ slabs, format, columns, rows }: Matrix): Promise<PackedRows> {
  const bytes = storedBytes(format, rows, columns);
  const [words, scales] = [new Uint32Array(bytes.words / 4), new Uint32Array(bytes.scales / 4)];
  for (const slab of slabs) {
    const at = storedBytes(format, slab.firstRow, columns);
    const size = storedBytes(format, slab.rows, columns);
    const weight = await runAndRead(gpu(), [], slab.weight);
    words.set(weight.subarray(0, size.words / 4), at.words / 4);
    if (!slab.scales) continue;
    const found = await runAndRead(gpu(), [], slab.scales);
    scales.set(found.subarray(0, size.scales / 4), at.scales / 4);
  }
  return { words, scales };
}

const equal = (a: Uint32Array, b: Uint32Array) =>
  Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(Buffer.from(b.buffer, b.byteOffset, b.byteLength));

// 8 MiB are 21,845 rows of 96 float32.
test.each(["f16", "q8", "q4"] as const)(
  "a matrix of more than one block is packed as %s as if it were read at once",
  async (format) => {
    const [rows, columns] = [21_845 + 129, 96];
    const values = randomFloats(rows * columns, 5);
    const { blocks, progress, stored } = await upload(configOf(rows, columns), format, (first, count) =>
      values.slice(first * columns, (first + count) * columns),
    );
    expect(blocks).toEqual([21_845, 129]);
    expect(progress.at(-1)).toBe(1);
    expect(progress).toEqual(progress.toSorted((a, b) => a - b));
    const { words, scales } = packRows(format, values, columns);
    expect(equal(stored.words, words)).toBe(true);
    if (scales) expect(equal(stored.scales!, scales)).toBe(true);
  },
);

test("a matrix that is packed already is uploaded a block at a time", async () => {
  const [rows, columns] = [65_536 + 65_536 + 3, 128];
  const words = Uint32Array.from({ length: (rows * columns) / 4 }, (_, i) => Math.imul(i + 1, 0x9e3779b1));
  const scales = Uint32Array.from({ length: (rows * columns) / 64 }, (_, i) => Math.imul(i + 1, 0x85ebca6b));
  const none = () => expect.unreachable("exact weights were asked for");
  const { blocks, stored } = await upload(configOf(rows, columns), "q8", none, (first, count) => ({
    words: words.slice((first * columns) / 4, ((first + count) * columns) / 4),
    scales: scales.slice((first * columns) / 64, ((first + count) * columns) / 64),
  }));
  expect(blocks).toEqual([65_536, 65_536, 3]);
  expect(equal(stored.words, words)).toBe(true);
  expect(equal(stored.scales!, scales)).toBe(true);
});

test("uploads of more than 64 MiB wait for the adapter, and nothing is lost", async () => {
  const [rows, columns] = [33_000, 512];
  const waits = vi.spyOn(gpu().device.queue, "onSubmittedWorkDone");
  const row = (r: number) => new Float32Array(columns).fill(r + 0.5);
  const { blocks, stored } = await upload(configOf(rows, columns), "f32", (first, count) => {
    const values = new Float32Array(count * columns);
    for (let i = 0; i < count; i++) values.set(row(first + i), i * columns);
    return values;
  });
  expect(waits).toHaveBeenCalledTimes(1);
  waits.mockRestore();
  expect(blocks).toEqual([...Array(8).fill(4096), 232]);
  const found = new Float32Array(stored.words.buffer);
  let wrong = 0;
  for (let i = 0; i < found.length; i++) wrong += Number(found[i] !== Math.floor(i / columns) + 0.5);
  expect(wrong).toBe(0);
});
