import { bytesSource, type OpenFile } from "../../src/checkpoint/source.ts";
import type { Importance } from "../../src/model/calibrate.ts";
import { type Config, parseConfig } from "../../src/model/config.ts";
import { type FormatOf, tensorShapes } from "../../src/model/weights.ts";
import { packRows, unpackRows } from "../../src/quantize/pack.ts";
import type { WeightFormat } from "../../src/stored.ts";
import { randomFloats } from "./random.ts";

/** A config as HF writes it, small, with the given keys changed. */
export function configJson(changes: Record<string, unknown> = {}): string {
  return JSON.stringify({
    architectures: ["LlamaForCausalLM"],
    hidden_act: "silu",
    hidden_size: 128,
    intermediate_size: 352,
    max_position_embeddings: 256,
    model_type: "llama",
    num_attention_heads: 4,
    num_hidden_layers: 2,
    rms_norm_eps: 1e-6,
    vocab_size: 301,
    ...changes,
  });
}

/** Random tensors of a config: norms around one, matrices scaled so that activations keep their size. */
export function randomTensors(config: Config, seed: number): Map<string, Float32Array> {
  const tensors = new Map<string, Float32Array>();
  for (const [name, shape] of tensorShapes(config)) {
    const count = shape.reduce((a, b) => a * b);
    const spread = shape.length === 1 ? 0.1 : name === "model.embed_tokens.weight" ? 1 : shape[1]! ** -0.5;
    const values = randomFloats(count, seed + tensors.size, spread);
    tensors.set(name, shape.length === 1 ? values.map((v) => 1 + v / 4) : values);
  }
  return tensors;
}

/** A safetensors file of float32 tensors. */
export function safetensorsBytes(
  tensors: ReadonlyMap<string, Float32Array>,
  shapes: ReadonlyMap<string, readonly number[]>,
): Uint8Array {
  let end = 0;
  const header: Record<string, unknown> = {};
  for (const [name, values] of tensors) {
    header[name] = { dtype: "F32", shape: shapes.get(name), data_offsets: [end, end + values.byteLength] };
    end += values.byteLength;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + end);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  let at = 8 + text.length;
  for (const values of tensors.values()) {
    bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), at);
    at += values.byteLength;
  }
  return bytes;
}

/** A checkpoint folder in memory, and the tensors it holds. */
export function randomFolder(changes: Record<string, unknown>, seed: number) {
  const json = configJson(changes);
  const config = parseConfig(json);
  const tensors = randomTensors(config, seed);
  const files = new Map([
    ["config.json", new TextEncoder().encode(json)],
    ["model.safetensors", safetensorsBytes(tensors, tensorShapes(config))],
  ]);
  const open: OpenFile = async (name) => {
    const bytes = files.get(name);
    return bytes && bytesSource(name, bytes);
  };
  return { config, tensors, open };
}

/** What the tensors are once matrices are stored in `format`. */
export function storedTensors(
  config: Config,
  tensors: ReadonlyMap<string, Float32Array>,
  formats: WeightFormat | FormatOf,
  importance?: Importance,
) {
  const shapes = tensorShapes(config);
  return new Map(
    [...tensors].map(([name, values]) => {
      const [rows, columns] = shapes.get(name)!;
      if (columns === undefined) return [name, values];
      const format = typeof formats === "function" ? formats(name) : formats;
      return [
        name,
        unpackRows(format, packRows(format, values, columns, importance?.get(name)), rows!, columns),
      ];
    }),
  );
}
