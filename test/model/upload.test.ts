import { expect, it } from "vitest";
import type { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { allocateMatrix, destroyMatrix } from "../../src/kernels/matrix.ts";
import { uploadWeights } from "../../src/model/upload.ts";
import { packRows } from "../../src/quantize/pack.ts";
import { folder } from "../checkpoint/bytes.ts";
import { safetensorsBytes } from "../support/checkpoint.ts";
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
    const norm = upload(gpu(), new Float32Array(COLUMNS));
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
    norm.destroy();
  },
);

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
