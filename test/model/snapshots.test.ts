import { describe, expect, it } from "vitest";
import { CACHE_FORMATS } from "../../src/kernels/cache.ts";
import type { LoadOptions } from "../../src/model/load-model.ts";
import type { LlamaModel } from "../../src/model/model.ts";
import type { Sequence } from "../../src/model/sequence.ts";
import { snapshotsOf } from "../../src/model/snapshots.ts";
import { randomFolder } from "../support/checkpoint.ts";
import { useGpu } from "../support/gpu.ts";
import { loadModel } from "../support/load.ts";

const GQA = { num_key_value_heads: 2 };
const ids = (length: number, shift = 0) => Array.from({ length }, (_, i) => (i * 37 + shift + 11) % 300);

const gpu = useGpu();

const load = (changes: Record<string, unknown>, options: LoadOptions, seed = 7) =>
  loadModel(gpu(), randomFolder(changes, seed).open, options);

async function readAll(model: LlamaModel, sequence: Sequence): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of snapshotsOf(gpu(), model).read(sequence)) parts.push(part);
  return Buffer.concat(parts);
}

async function writeAll(model: LlamaModel, bytes: Uint8Array, tokens: readonly number[]): Promise<Sequence> {
  const sequence = model.open();
  sequence.reserve(tokens.length);
  let at = 0;
  await snapshotsOf(gpu(), model).write(sequence, tokens.length, async (length) => {
    at += length;
    return new Uint8Array(bytes.subarray(at - length, at));
  });
  expect(at).toBe(bytes.length);
  sequence.append(tokens, 0, tokens.length);
  return sequence;
}

async function rowsOf(model: LlamaModel, sequence: Sequence, tokens: readonly number[]) {
  const rows: Float32Array[] = [];
  for (const id of tokens) rows.push((await model.forward(sequence, [id], "logits")).logits.slice());
  return rows;
}

describe.each([
  ...CACHE_FORMATS.map((cache) => [cache, 41, GQA] as const),
  ["f16", 600, { ...GQA, num_hidden_layers: 1, max_position_embeddings: 1024 }] as const,
])("a cache as %s of %i positions", (cache, length, changes) => {
  it("gives in other pages of another model the same bits as before", async () => {
    const options = { cache, chunk: 64, cacheTokens: 2048 };
    const first = await load(changes, options);
    const tokens = ids(length);
    const sequence = first.open();
    await first.forward(sequence, tokens.slice(0, 20), "argmax");
    // Pages of another sequence stand between its own.
    await first.forward(first.open(), ids(20, 2), "argmax");
    await first.forward(sequence, tokens.slice(20), "argmax");
    expect(sequence.placeOf(length - 1) - sequence.placeOf(0)).toBeGreaterThanOrEqual(length);
    const bytes = await readAll(first, sequence);
    expect(bytes.length).toBe(snapshotsOf(gpu(), first).bytesOf(length));
    const wanted = await rowsOf(first, sequence, ids(4, 5));
    first.destroy();

    const second = await load(changes, options);
    await second.forward(second.open(), ids(50, 1), "argmax");
    const restored = await writeAll(second, bytes, tokens);
    expect(restored.pages).not.toContain(0);
    expect(await readAll(second, restored)).toEqual(bytes);
    expect(await rowsOf(second, restored, ids(4, 5))).toEqual(wanted);
    second.destroy();
  });
});

it("tells weights from others of the same shapes, and how they are stored", async () => {
  const identities = [];
  for (const [seed, options] of [
    [7, {}],
    [7, { context: 100 }],
    [8, {}],
    [7, { weights: "q8", cache: "f32" }],
  ] as const) {
    const model = await load(GQA, { chunk: 16, ...options }, seed);
    identities.push(await snapshotsOf(gpu(), model).identify());
    model.destroy();
  }
  const [first, shorter, other, stored] = identities;
  expect(first).toMatchObject({ hidden_size: 128, weights: "f16", cache: "f16" });
  expect(shorter).toEqual(first);
  const sum = "checksum of the weights";
  expect({ ...other, [sum]: 0 }).toEqual({ ...first, [sum]: 0 });
  expect(other![sum]).not.toBe(first![sum]);
  expect(stored).toMatchObject({ weights: "q8", cache: "f32" });
});
