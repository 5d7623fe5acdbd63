import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { llamaHead, writeModel } from "../../fixtures/model-proto.ts";
import { torchFile, type VirtualTensor } from "../../fixtures/torch-file.ts";
import { crc32 } from "../../src/checkpoint/crc32.ts";
import { addHalves, narrowToHalves, widenHalves } from "../../src/f16.ts";
import { parseConfig } from "../../src/model/config.ts";
import { tensorShapes } from "../../src/model/weights.ts";
import { configJson } from "./checkpoint.ts";
import { randomFloats } from "./random.ts";

/** A small model as Ziya is published: a base, and a delta with more tokens. */
export interface Release {
  readonly base: string;
  readonly delta: string;
  /** What the makers' script makes of them: by tensor name, halves as float32. */
  readonly merged: ReadonlyMap<string, Float32Array>;
  readonly shapes: ReadonlyMap<string, readonly number[]>;
}

const BASE_VOCAB = 256;
/** Embeddings and head, which the delta has whole. */
const WHOLE = /embed_tokens|lm_head/;

/** Writes both parts as PyTorch files of two shards each. */
export async function writeRelease(folder: string, changes: Record<string, unknown> = {}): Promise<Release> {
  const json = configJson({ num_hidden_layers: 3, ...changes });
  const shapes = tensorShapes(parseConfig(json));
  const [base, delta] = [join(folder, "base"), join(folder, "delta")];
  const halvesOf = (part: "base" | "delta") =>
    new Map(Array.from(shapes, ([name, shape], i) => [name, randomHalves(part, name, shape, i)]));
  const [baseHalves, deltaHalves] = [halvesOf("base"), halvesOf("delta")];
  const width = shapes.get("model.embed_tokens.weight")![1]!;
  for (const name of shapes.keys()) {
    if (WHOLE.test(name)) baseHalves.set(name, deltaHalves.get(name)!.slice(0, BASE_VOCAB * width));
  }
  const baseJson = JSON.stringify({ ...JSON.parse(json), vocab_size: BASE_VOCAB });
  await writePart(base, baseJson, shapes, baseHalves);
  await writePart(delta, json, shapes, deltaHalves);
  await writeFile(
    join(delta, "tokenizer.model"),
    tokenizerModel(shapes.get("model.embed_tokens.weight")![0]!),
  );
  const merged = new Map<string, Float32Array>();
  for (const [name, halves] of deltaHalves) {
    merged.set(name, WHOLE.test(name) ? widenHalves(halves) : addHalves(halves, baseHalves.get(name)!));
  }
  return { base, delta, merged, shapes };
}

/** The head of LLaMA's, and as many characters as there are tokens. */
function tokenizerModel(tokens: number): Uint8Array {
  const head = llamaHead();
  const characters = Array.from({ length: tokens - head.length }, (_, i) => ({
    piece: String.fromCodePoint(0x4e00 + i),
    score: 0,
  }));
  return writeModel({ pieces: [...head, ...characters] });
}

function randomHalves(
  part: "base" | "delta",
  name: string,
  shape: readonly number[],
  seed: number,
): Uint16Array {
  const spread = WHOLE.test(name) || part === "base" ? 0.02 : 0.002;
  const mean = part === "base" && name.includes("norm") ? 1 : 0;
  const count = shape.reduce((a, b) => a * b);
  return narrowToHalves(randomFloats(count, seed + (part === "base" ? 0 : 500), spread).map((w) => w + mean));
}

/** A checkpoint folder; a shape's rows are as many as there are weights for. */
async function writePart(
  folder: string,
  config: string,
  shapes: ReadonlyMap<string, readonly number[]>,
  weights: ReadonlyMap<string, Uint16Array>,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const tensors = Array.from(weights, ([name, halves]): VirtualTensor => {
    const [, ...rest] = shapes.get(name)!;
    const bytes = new Uint8Array(halves.buffer, halves.byteOffset, halves.byteLength);
    return {
      name,
      dtype: "F16",
      shape: [halves.length / rest.reduce((a, b) => a * b, 1), ...rest],
      fill: (into, from) => into.set(bytes.subarray(from, from + into.length)),
      crc32: () => crc32(bytes),
    };
  });
  const frequencies: VirtualTensor = {
    name: "model.layers.0.self_attn.rotary_emb.inv_freq",
    dtype: "F32",
    shape: [16],
    fill: (into) => into.fill(0),
    crc32: () => crc32(new Uint8Array(64)),
  };
  const middle = Math.floor(tensors.length / 2);
  const weightMap: Record<string, string> = {};
  for (const [i, part] of [[...tensors.slice(0, middle), frequencies], tensors.slice(middle)].entries()) {
    const file = `pytorch_model-0000${i + 1}-of-00002.bin`;
    const source = torchFile(file, part);
    await writeFile(join(folder, file), await source.read(0, source.size));
    for (const { name } of part) weightMap[name] = file;
  }
  await writeFile(join(folder, "pytorch_model.bin.index.json"), JSON.stringify({ weight_map: weightMap }));
  await writeFile(join(folder, "config.json"), config);
}
