import { expect, it, vi } from "vitest";
import type { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { wholeOf } from "../../src/gpu/part.ts";
import { allocateMatrix, destroyMatrix } from "../../src/kernels/matrix.ts";
import { uploadWeights } from "../../src/model/upload.ts";
import { allocateWeights, destroyWeights, stacks, tensorShapes } from "../../src/model/weights.ts";
import { packRows } from "../../src/quantize/pack.ts";
import { folder } from "../checkpoint/bytes.ts";
import { randomFolder, safetensorsBytes } from "../support/checkpoint.ts";
import { runAndRead, upload, useGpu } from "../support/gpu.ts";
import { randomStream } from "../support/random.ts";

const gpu = useGpu();

/**
 * Rows of 128 weights: 16,384 of them make an 8 MiB block of f32, 65,536 one of q8. Slabs of 20,032 rows: blocks end
 * at their own length, at a slab's end and at the tensor's.
 */
const COLUMNS = 128;
const [EMBED, NORM] = ["model.embed_tokens.weight", "model.norm.weight"] as const;
const SLAB_ROWS = 20_032;

it.each([
  ["f32", 41_001, false],
  ["f16", 41_001, false],
  ["q8", 41_001, false],
  ["q8", 70_001, true],
] as const)(
  "a tensor of several blocks, stored as %s, %i rows (packed in the file: %s), arrives whole",
  async (format, rows, isPacked) => {
    const next = randomStream(1);
    const values = Float32Array.from({ length: rows * COLUMNS }, () => next() - 0.5);
    const limit = (SLAB_ROWS * COLUMNS * { f32: 32, f16: 16, q8: 8 }[format]) / 8;
    const small: Gpu = isPacked ? gpu() : Object.create(gpu(), { bindingLimit: { value: limit } });
    const embed = allocateMatrix(small, "embed", format, rows, COLUMNS);
    const norm = wholeOf(upload(gpu(), new Float32Array(COLUMNS)));
    const blocks: number[] = [];
    const loaded: number[] = [];
    await uploadWeights(
      gpu(),
      { embed, layers: [], norm, head: embed },
      await checkpointOf(values, isPacked && format === "q8" ? format : undefined, blocks),
      {
        onProgress: (parameters) => loaded.push(parameters),
      },
    );
    expect(blocks).toEqual(isPacked ? [65_536, 4_465] : [16_384, 3_648, 16_384, 3_648, 937]);
    expect(loaded.at(-1)).toBe((rows + 1) * COLUMNS);
    const wanted = packRows(format, values, COLUMNS);
    const got = { words: [] as Uint32Array[], scales: [] as Uint32Array[] };
    for (const { weight, scales } of embed.slabs) {
      got.words.push(await runAndRead(gpu(), [], weight));
      if (scales) got.scales.push(await runAndRead(gpu(), [], scales));
    }
    expect(differs(got.words, wanted.words)).toBe(-1);
    if (wanted.scales) expect(differs(got.scales, wanted.scales)).toBe(-1);
    destroyMatrix(embed);
    norm.buffer.destroy();
  },
);

/** Weights of many small tensors, and a checkpoint of them whose reads `before` may delay or fail. */
function manySmall(before: (read: number) => Promise<void>) {
  const { config, tensors } = randomFolder({ num_hidden_layers: 3 }, 5);
  const shapes = tensorShapes(config);
  const weights = allocateWeights(gpu(), config, () => "f32");
  let reads = 0;
  const checkpoint: Checkpoint = {
    name: "many",
    tensors: new Map([...shapes].map(([name, shape]) => [name, { name, dtype: "F32", shape }])),
    async readRows(name, first, count) {
      const columns = shapes.get(name)![1] ?? 1;
      await before(reads++);
      return tensors.get(name)!.slice(first * columns, (first + count) * columns);
    },
  };
  const wanted = [...stacks(weights)].flatMap(({ names }) => names.map((name) => tensors.get(name)!));
  return { weights, checkpoint, wanted };
}

/** What is written to the queue meanwhile, in order. */
async function writesDuring(work: () => Promise<void>): Promise<Float32Array[]> {
  const writing = vi.spyOn(gpu().device.queue, "writeBuffer");
  await work();
  const written = writing.mock.calls.map(
    ([, , data]) => new Float32Array((data as Uint32Array).slice().buffer),
  );
  writing.mockRestore();
  return written;
}

const bitsOf = ({ buffer }: Float32Array) => new Uint32Array(buffer);

/** BLOCKS_AHEAD and the one whose turn it is. */
const BLOCKS_AT_ONCE = 7;

it("reads a few blocks ahead and uploads them in order, in whatever order they come", async () => {
  let [running, most] = [0, 0];
  const { weights, checkpoint, wanted } = manySmall(async (read) => {
    most = Math.max(most, ++running);
    await new Promise((resolve) => setTimeout(resolve, 5 * (BLOCKS_AT_ONCE - (read % BLOCKS_AT_ONCE))));
    running--;
  });
  const written = await writesDuring(() => uploadWeights(gpu(), weights, checkpoint));
  expect(written.length).toBe(wanted.length);
  expect(written.findIndex((values, i) => differs([bitsOf(values)], bitsOf(wanted[i]!)) >= 0)).toBe(-1);
  expect(most).toBe(BLOCKS_AT_ONCE);
  destroyWeights(weights);
});

it("tells the first failure in order, and none of those behind it goes unhandled", async () => {
  const unhandled = vi.fn();
  process.on("unhandledRejection", unhandled);
  const { weights, checkpoint, wanted } = manySmall(async (read) => {
    if (read === 3) await new Promise((resolve) => setTimeout(resolve, 20));
    if (read >= 3) throw new Error(`read ${read}`);
  });
  const written = await writesDuring(() =>
    expect(uploadWeights(gpu(), weights, checkpoint)).rejects.toThrow("read 3"),
  );
  // One turn of the event loop, in which Node reports what nobody waits for.
  await new Promise((resolve) => setTimeout(resolve));
  process.off("unhandledRejection", unhandled);
  expect(unhandled.mock.calls).toEqual([]);
  expect(written.map(({ length }) => length)).toEqual(wanted.slice(0, 3).map(({ length }) => length));
  destroyWeights(weights);
});

it("halves that are stored as halves are uploaded as they are, and refused when they are not finite", async () => {
  const rows = 17_000;
  const halves = new Uint16Array(rows * COLUMNS).map((_, i) => (i * 40503) & 0xbbff);
  const embed = allocateMatrix(gpu(), "embed", "f16", rows, COLUMNS);
  const norm = wholeOf(upload(gpu(), new Float32Array(COLUMNS)));
  const weights = { embed, layers: [], norm, head: embed };
  const checkpoint: Checkpoint = {
    name: "halves",
    tensors: new Map([
      [EMBED, { name: EMBED, dtype: "F16", shape: [rows, COLUMNS] }],
      [NORM, { name: NORM, dtype: "F32", shape: [COLUMNS] }],
    ]),
    readRows: async (name) =>
      name === NORM ? new Float32Array(COLUMNS) : expect.unreachable("halves were asked for widened"),
    readHalves: async (_, first, count) => halves.subarray(first * COLUMNS, (first + count) * COLUMNS),
  };
  await uploadWeights(gpu(), weights, checkpoint);
  const stored = await runAndRead(gpu(), [], embed.slabs[0]!.weight);
  expect(differs([stored], new Uint32Array(halves.buffer))).toBe(-1);
  halves[16_999 * COLUMNS + 7] = 0xfc00;
  await expect(uploadWeights(gpu(), weights, checkpoint)).rejects.toThrow(
    `${EMBED} in halves: The weight at row 16999, column 7 is -Infinity: a checkpoint with weights that are not finite`,
  );
  destroyMatrix(embed);
  norm.buffer.destroy();
});

/** A file of the embedding and a norm, or one that holds the embedding packed; `blocks` hears the rows of each read. */
async function checkpointOf(
  values: Float32Array,
  packed: "q8" | undefined,
  blocks: number[],
): Promise<Checkpoint> {
  const shapes = new Map([
    [EMBED, [values.length / COLUMNS, COLUMNS]],
    [NORM, [COLUMNS]],
  ]);
  const tensors = new Map([
    [EMBED, values],
    [NORM, new Float32Array(COLUMNS).fill(1)],
  ]);
  const bytes = safetensorsBytes(tensors, shapes);
  const file = await openCheckpoint(folder({ "model.safetensors": bytes }));
  const read = <T>(from: (name: string, first: number, count: number) => Promise<T>) => {
    return (name: string, first: number, count: number) => {
      if (name === EMBED) blocks.push(count);
      return from(name, first, count);
    };
  };
  if (!packed) return { ...file, readRows: read(file.readRows) };
  const readRows = async (name: string, first: number, count: number) => {
    const { words, scales } = packRows(packed, await file.readRows(name, first, count), COLUMNS);
    return { words, scales: scales! };
  };
  return { ...file, packed: { format: packed, readRows: read(readRows) } };
}

/** Where the joined words differ from the wanted ones, or -1. */
function differs(parts: readonly Uint32Array[], wanted: Uint32Array): number {
  const joined = Buffer.concat(parts.map(({ buffer }) => Buffer.from(buffer)));
  const got = new Uint32Array(joined.buffer, joined.byteOffset, joined.length / 4);
  return wanted.findIndex((word, i) => got[i] !== word);
}
