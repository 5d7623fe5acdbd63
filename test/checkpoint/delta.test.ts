import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { fileSource } from "../../node/files.ts";
import type { Checkpoint } from "../../src/checkpoint/checkpoint.ts";
import { looksLikeDelta, mergeDelta, refuseUnmergedDelta } from "../../src/checkpoint/delta.ts";
import { bytesSource } from "../../src/checkpoint/source.ts";
import { openTorch } from "../../src/checkpoint/torch.ts";
import { CheckpointError } from "../../src/errors.ts";
import { fromHalf, narrowToHalves, toHalf } from "../../src/f16.ts";
import { randomFloats, randomStream } from "../support/random.ts";
import { python } from "./python.ts";
import { type SavedTensor, torchFile } from "./torch-file.ts";

const DIM = 48;
const Q = "model.layers.0.self_attn.q_proj.weight";
const NORM = "model.norm.weight";
const EMBED = "model.embed_tokens.weight";
const HEAD = "lm_head.weight";
const INV_FREQ = "model.layers.0.self_attn.rotary_emb.inv_freq";

type Tensors = Record<string, { shape: number[]; values: Float32Array; dtype?: "F16" | "F32" | "BF16" }>;

/** A model of one matrix: about 1 in its norm; embeddings of `rows` tokens, from the seed of their family. */
function model(rows: number, seed: number, family = 1): Tensors {
  return {
    [EMBED]: { shape: [rows, DIM], values: randomFloats(rows * DIM, family) },
    [Q]: { shape: [DIM, DIM], values: randomFloats(DIM * DIM, seed + 1, 0.1) },
    [NORM]: { shape: [DIM], values: randomFloats(DIM, seed + 2, 0.01).map((x) => 1.5 + x) },
    [INV_FREQ]: { shape: [4], values: new Float32Array(4).fill(seed), dtype: "F32" },
    [HEAD]: { shape: [rows, DIM], values: randomFloats(rows * DIM, seed + 3) },
  };
}

/** What make_delta.py would give for some further training. */
function deltaOf(rows: number, seed: number, family = 1): Tensors {
  return {
    ...model(rows, seed, family),
    [Q]: { shape: [DIM, DIM], values: randomFloats(DIM * DIM, seed + 1, 0.003) },
    [NORM]: { shape: [DIM], values: randomFloats(DIM, seed + 2, 0.001) },
  };
}

function saved(tensors: Tensors): Uint8Array {
  return torchFile(
    Object.entries(tensors).map(([name, { shape, values, dtype = "F16" }]): SavedTensor => {
      const bits = { F32: values, F16: narrowToHalves(values), BF16: highHalves(values) }[dtype];
      return { name, shape, dtype, bytes: new Uint8Array(bits.buffer.slice(0)) };
    }),
  );
}
const highHalves = (values: Float32Array) =>
  Uint16Array.from(new Uint32Array(values.slice().buffer), (bits) => bits >>> 16);

const open = (tensors: Tensors, name = "model") => openTorch(bytesSource(name, saved(tensors)));
const all = (checkpoint: Checkpoint, name: string) =>
  checkpoint.readRows(name, 0, checkpoint.tensors.get(name)!.shape[0]!);
const half = (value: number) => fromHalf(toHalf(value));

describe("merging", () => {
  const [base, delta] = [model(320, 10), deltaOf(350, 20)];

  test("adds with one rounding, takes the vocabulary from the delta, drops inv_freq", async () => {
    const merged = await mergeDelta(await open(base, "base"), await open(delta, "delta"));
    expect(merged.name).toBe("base + delta");
    expect([...merged.tensors.keys()].sort()).toEqual([EMBED, HEAD, NORM, Q].sort());
    expect(merged.tensors.get(EMBED)).toEqual({ name: EMBED, dtype: "F16", shape: [350, DIM] });
    for (const name of [Q, NORM]) {
      const wanted = base[name]!.values.map((weight, i) =>
        half(half(weight) + half(delta[name]!.values[i]!)),
      );
      expect(await all(merged, name)).toEqual(wanted);
      expect(await merged.readRows(name, 5, 2)).toEqual(
        wanted.slice(5 * (name === Q ? DIM : 1), 7 * (name === Q ? DIM : 1)),
      );
    }
    for (const name of [EMBED, HEAD]) expect(await all(merged, name)).toEqual(delta[name]!.values.map(half));
    await expect(merged.readRows(Q, DIM, 1)).rejects.toThrow(`Wanted 1 rows from row ${DIM}`);
    await expect(merged.readRows(INV_FREQ, 0, 1)).rejects.toThrow("has no tensor");
  });

  test("makes f16 of a base in f32 and a delta in bfloat16 first, and changes neither", async () => {
    const wide = { ...base, [Q]: { ...base[Q]!, dtype: "F32" as const } };
    const rough = { ...delta, [Q]: { ...delta[Q]!, dtype: "BF16" as const } };
    const [baseBytes, deltaBytes] = [saved(wide), saved(rough)];
    const merged = await mergeDelta(
      await openTorch(bytesSource("base", baseBytes)),
      await openTorch(bytesSource("delta", deltaBytes)),
    );
    const bfloats = new Float32Array(
      Uint32Array.from(highHalves(delta[Q]!.values), (bits) => bits << 16).buffer,
    );
    expect(await all(merged, Q)).toEqual(
      base[Q]!.values.map((weight, i) => half(half(weight) + half(bfloats[i]!))),
    );
    expect([baseBytes, deltaBytes]).toEqual([saved(wide), saved(rough)]);
  });

  test.skipIf(!python)("is bit for bit what PyTorch gives, for any halves", async () => {
    const next = randomStream(77);
    const any = (count: number) => {
      // Every exponent but the last, which is infinity and NaN; sums may still overflow.
      return Float32Array.from({ length: count }, () =>
        fromHalf(Math.floor(next() * 0x7c00) | (next() < 0.5 ? 0x8000 : 0)),
      );
    };
    const random = (tensors: Tensors): Tensors => ({
      ...tensors,
      [Q]: { shape: [300, 200], values: any(60_000) },
      "model.layers.0.mlp.up_proj.weight": { shape: [100, 200], values: any(20_000) },
    });
    const directory = mkdtempSync(join(tmpdir(), "ziya-delta-"));
    try {
      const paths = ["base", "delta", "merged"].map((name) => join(directory, `${name}.bin`));
      const [basePath, deltaPath, mergedPath] = paths as [string, string, string];
      writeFileSync(basePath, saved(random(base)));
      writeFileSync(deltaPath, saved(random(delta)));
      execFileSync(python!, [join(import.meta.dirname, "merge.py"), ...paths]);
      const theirs = await openTorch(await fileSource(mergedPath));
      const ours = await mergeDelta(
        await openTorch(await fileSource(basePath)),
        await openTorch(await fileSource(deltaPath)),
      );
      expect(ours.tensors.size).toBe(5);
      for (const name of ours.tensors.keys()) {
        const [a, b] = [await all(ours, name), await all(theirs, name)];
        expect(a.length).toBe(b.length);
        expect(
          a.findIndex((value, i) => !Object.is(value, b[i])),
          name,
        ).toBe(-1);
      }
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

describe("a delta is known by its norm", () => {
  test("and a model too", async () => {
    const [whole, difference] = [await open(model(300, 1)), await open(deltaOf(300, 1), "Ziya-LLaMA-13B-v1")];
    expect([await looksLikeDelta(whole), await looksLikeDelta(difference)]).toEqual([false, true]);
    await refuseUnmergedDelta(whole);
    await expect(refuseUnmergedDelta(difference)).rejects.toThrow(CheckpointError);
    await expect(refuseUnmergedDelta(difference)).rejects.toThrow(
      "Ziya-LLaMA-13B-v1 is a delta: the weights of model.norm.weight are about 0, not 1.",
    );
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY])("and neither by one with %d in it", async (value) => {
    const broken = model(300, 1);
    broken[NORM]!.values[7] = value;
    const checkpoint = await open(broken);
    await expect(looksLikeDelta(checkpoint)).rejects.toThrow(CheckpointError);
    await expect(refuseUnmergedDelta(checkpoint)).rejects.toThrow(
      `${NORM} in ${checkpoint.name}: The weight at row 7 is ${value}`,
    );
  });

  test.each([[[2e9]], [[1, 48]], [[]]])(
    "and not by one of the shape %j, which is not read",
    async (shape) => {
      const checkpoint: Checkpoint = {
        name: "odd",
        tensors: new Map([[NORM, { name: NORM, dtype: "F16", shape }]]),
        readRows: () => expect.unreachable(),
      };
      await expect(looksLikeDelta(checkpoint)).rejects.toThrow(CheckpointError);
      await expect(looksLikeDelta(checkpoint)).rejects.toThrow(
        `the shape [${shape}]; wanted a vector of at most 65536`,
      );
    },
  );

  test("and a checkpoint without a norm is none", async () => {
    expect(await looksLikeDelta(await open({ a: { shape: [1], values: new Float32Array(1) } }))).toBe(false);
  });
});

describe("refuses", () => {
  const [base, delta] = [model(320, 10), deltaOf(350, 20)];
  const without = (tensors: Tensors, name: string) =>
    Object.fromEntries(Object.entries(tensors).filter(([key]) => key !== name));
  const extra = { "model.layers.1.mlp.up_proj.weight": { shape: [1], values: new Float32Array(1) } };

  test.each<[string, Tensors, Tensors, object, string]>([
    ["a base that lacks a tensor", without(base, Q), delta, {}, `The base base has no tensor ${Q}`],
    [
      "a base with more layers",
      { ...base, ...extra },
      delta,
      {},
      "The delta delta has no tensor model.layers.1.mlp.up_proj.weight",
    ],
    [
      "a delta that lacks a shard",
      base,
      without(delta, HEAD),
      {},
      `has no tensor ${HEAD}, which the base has: the download is incomplete`,
    ],
    [
      "a base of another size",
      { ...base, [Q]: { shape: [24, 24], values: new Float32Array(576) } },
      delta,
      {},
      `${Q} is [24,24] in the base base and [48,48] in the delta`,
    ],
    [
      "a base of another width",
      { ...base, [EMBED]: { shape: [960, 16], values: base[EMBED]!.values } },
      delta,
      {},
      `${EMBED} is [960,16] in the base`,
    ],
    ["a model given as the delta", base, model(350, 20), {}, "delta, given as the delta, is a whole model"],
    ["a delta given as the base", deltaOf(320, 10), delta, {}, "base, given as the base, is itself a delta"],
    ["base and delta swapped", deltaOf(320, 10), model(350, 20), {}, "Base and delta are swapped"],
    [
      "LLaMA-2 by its length",
      base,
      delta,
      { max_position_embeddings: 4096, rms_norm_eps: 1e-6 },
      "is LLaMA-2 by its config (max_position_embeddings 4096, rms_norm_eps 0.000001)",
    ],
    [
      "LLaMA-2 by its epsilon",
      base,
      delta,
      { max_position_embeddings: 2048, rms_norm_eps: 1e-5 },
      "is LLaMA-2 by its config",
    ],
    [
      "a config that cannot be made a string",
      base,
      delta,
      { max_position_embeddings: { toString: 1, valueOf: 1 }, rms_norm_eps: 1e-5 },
      'is LLaMA-2 by its config (max_position_embeddings {"toString":1,"valueOf":1}, rms_norm_eps 0.00001)',
    ],
    [
      "a base that is merged already",
      model(350, 20),
      delta,
      {},
      "The base base is the merged model already: its embeddings are those of the delta. Use it by itself, as --model",
    ],
    [
      "a stranger of the same shape",
      model(320, 10, 2),
      delta,
      {},
      "is not the model that the delta was made from: their embeddings of 64 common tokens have a mean cosine of",
    ],
  ])("%s", async (_, baseTensors, deltaTensors, config, message) => {
    const merging = mergeDelta(await open(baseTensors, "base"), await open(deltaTensors, "delta"), config);
    await expect(merging).rejects.toThrow(CheckpointError);
    await expect(merging).rejects.toThrow(message);
  });

  test("but not a base of the delta's vocabulary from which its embeddings were trained on", async () => {
    const trained = {
      ...delta,
      [EMBED]: { ...delta[EMBED]!, values: delta[EMBED]!.values.map((x) => x * 1.01) },
    };
    await mergeDelta(await open(model(350, 10)), await open(trained));
  });

  test("but not LLaMA-1 by its config, nor one stretched by rope_scaling", async () => {
    for (const config of [
      { max_position_embeddings: 2048, rms_norm_eps: 1e-6 },
      { max_position_embeddings: 4096, rms_norm_eps: 1e-6, rope_scaling: { type: "linear", factor: 2 } },
      {},
    ]) {
      await mergeDelta(await open(base), await open(delta), config);
    }
  });
});
