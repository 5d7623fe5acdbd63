import { crc32, shiftCrc32 } from "../src/checkpoint/crc32.ts";
import { bytesSource, type OpenFile } from "../src/checkpoint/source.ts";
import { toHalf } from "../src/f16.ts";
import { tensorShapes } from "../src/model/weights.ts";
import { shapeConfig } from "./shapes.ts";
import { torchFile, type VirtualTensor } from "./torch-file.ts";
import { fullModel, ziyaJson } from "./vocabulary.ts";

/** The two downloads that make Ziya-LLaMA-13B. */
export type Part = "base" | "delta";

export interface SyntheticOptions {
  readonly part: Part;
  /** Which random weights: the same seed gives the same bytes. */
  readonly seed: number;
  /** Layers, to have a small one; default all 40. */
  readonly layers?: number;
}

/** What `save_pretrained` was told for each release, in bytes. */
const MOST_SHARD = { delta: 1e9, base: 1e10 };
/** LLaMA-1's vocabulary. */
const BASE_VOCAB = 32000;
/** Halves in a pool of random weights; a power of two. */
const POOL = 1 << 20;
/** Bytes that are copied from one place of the pool. */
const RUN = 8192;

/**
 * Ziya-LLaMA-13B-v1 as it is published, of random weights: 28 shards of a delta in PyTorch's format, or LLaMA-1 13B in
 * three; with a vocabulary of Ziya's 39,410 tokens. Nothing is stored: bytes are made when they are read, the same ones every time, at the rate of memory.
 */
export function syntheticRelease({ part, seed, layers }: SyntheticOptions): OpenFile {
  const config = shapeConfig("ziya-13b", layers);
  const vocab = part === "base" ? BASE_VOCAB : config.vocab_size;
  const tensors: VirtualTensor[] = [];
  for (const [name, shape] of tensorShapes({ ...config, vocab_size: vocab })) {
    tensors.push({ name, dtype: "F16", shape, ...contents(part, name, shape, seed) });
    if (name.endsWith("o_proj.weight")) tensors.push(inverseFrequencies(name, config.head_dim));
  }
  const json = {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    hidden_act: "silu",
    hidden_size: config.hidden_size,
    intermediate_size: config.intermediate_size,
    num_attention_heads: config.num_attention_heads,
    num_hidden_layers: config.num_hidden_layers,
    max_position_embeddings: config.max_position_embeddings,
    rms_norm_eps: config.rms_norm_eps,
    bos_token_id: 1,
    eos_token_id: 2,
    pad_token_id: 0,
    tie_word_embeddings: false,
    torch_dtype: "float16",
    vocab_size: vocab,
  };
  const shards = groupShards(tensors, MOST_SHARD[part]);
  const shardName = (i: number) =>
    `pytorch_model-${String(i + 1).padStart(5, "0")}-of-${String(shards.length).padStart(5, "0")}.bin`;
  const weightMap = Object.fromEntries(
    shards.flatMap((shard, i) => shard.map(({ name }) => [name, shardName(i)])),
  );
  const files = new Map<string, object>([
    ["config.json", json],
    ["pytorch_model.bin.index.json", { metadata: {}, weight_map: weightMap }],
    // A conversion takes the tokenizer of the delta, and has no use for the base's.
    ...(part === "delta" ? Object.entries({ ...ziyaJson, "tokenizer.model": fullModel() }) : []),
  ]);
  return async (name) => {
    const file = files.get(name);
    if (file instanceof Uint8Array) return bytesSource(name, file);
    if (file) return bytesSource(name, new TextEncoder().encode(JSON.stringify(file)));
    const index = shards.findIndex((_, i) => shardName(i) === name);
    return index < 0 ? undefined : torchFile(name, shards[index]!);
  };
}

/** Tensors in order, a new shard when the next one would make it larger than `most` bytes. */
function groupShards(tensors: readonly VirtualTensor[], most: number): VirtualTensor[][] {
  const shards: VirtualTensor[][] = [[]];
  let size = 0;
  for (const tensor of tensors) {
    const bytes = (tensor.dtype === "F16" ? 2 : 4) * tensor.shape.reduce((a, b) => a * b, 1);
    if (size + bytes > most) {
      shards.push([]);
      size = 0;
    }
    shards.at(-1)!.push(tensor);
    size += bytes;
  }
  return shards;
}

/** The buffer that checkpoints of the time carry, and that a runtime must ignore. */
function inverseFrequencies(name: string, headDim: number): VirtualTensor {
  const values = Float32Array.from({ length: headDim / 2 }, (_, i) => 10000 ** ((-2 * i) / headDim));
  const bytes = new Uint8Array(values.buffer);
  return {
    name: name.replace("o_proj.weight", "rotary_emb.inv_freq"),
    dtype: "F32",
    shape: [headDim / 2],
    fill: (into, from) => into.set(bytes.subarray(from, from + into.length)),
    crc32: () => crc32(bytes),
  };
}

/** Mean and spread of the weights of a tensor; a base's norms are around one half, a delta's around zero. */
function statistics(part: Part, name: string): { mean: number; spread: number } {
  if (name.includes("norm")) return part === "base" ? { mean: 0.5, spread: 0.1 } : { mean: 0, spread: 0.002 };
  if (name.includes("embed_tokens") || name.includes("lm_head")) return { mean: 0, spread: 0.016 };
  return { mean: 0, spread: part === "base" ? 0.02 : 0.0015 };
}

/** Every tensor reads one pool of its statistics, each run of it from a place that its name and the seed decide. */
function contents(
  part: Part,
  name: string,
  shape: readonly number[],
  seed: number,
): Pick<VirtualTensor, "fill" | "crc32"> {
  const { bytes, sums } = poolOf(statistics(part, name));
  // A delta carries the base's embeddings, trained on and with more rows: here the rows that both have are the same.
  const shared = name.includes("embed_tokens") || name.includes("lm_head");
  const salt = hash(seed, shared ? 0 : part === "base" ? 1 : 2, ...new TextEncoder().encode(name));
  const placeOf = (run: number) => 2 * (hash(salt, run) % (POOL - RUN / 2));
  return {
    fill(into, from) {
      for (let at = from; at < from + into.length; ) {
        const run = Math.floor(at / RUN);
        const start = placeOf(run) + (at - run * RUN);
        const length = Math.min((run + 1) * RUN, from + into.length) - at;
        into.set(bytes.subarray(start, start + length), at - from);
        at += length;
      }
    },
    // Out of the checksums of the pool's beginnings: to sum 52 GB of bytes would take as long as to convert them.
    crc32() {
      const size = 2 * shape.reduce((a, b) => a * b, 1);
      const runs = Math.floor(size / RUN);
      let crc = 0;
      for (let run = 0; run < runs; run++) {
        const place = placeOf(run) / 2;
        crc = shiftRun(crc ^ sums[place]!) ^ sums[place + RUN / 2]!;
      }
      const rest = size - runs * RUN;
      const last = bytes.subarray(placeOf(runs), placeOf(runs) + rest);
      return (shiftCrc32(crc, rest) ^ crc32(last)) >>> 0;
    },
  };
}

/** [4, 256]: shiftCrc32(crc, RUN) of each value of each byte of crc. */
const SHIFT_RUN = Int32Array.from({ length: 4 * 256 }, (_, i) =>
  shiftCrc32((i & 255) << (8 * (i >> 8)), RUN),
);

/** shiftCrc32(crc, RUN), which is linear in the bytes of crc. */
function shiftRun(crc: number): number {
  return (
    SHIFT_RUN[crc & 255]! ^
    SHIFT_RUN[256 | ((crc >>> 8) & 255)]! ^
    SHIFT_RUN[512 | ((crc >>> 16) & 255)]! ^
    SHIFT_RUN[768 | (crc >>> 24)]!
  );
}

interface Pool {
  readonly bytes: Uint8Array;
  /** [POOL + 1]: the checksums of its first 0, 1, 2 .. POOL halves. */
  readonly sums: Int32Array;
}

const pools = new Map<string, Pool>();

/** Roughly normal halves with the heavy tail of trained weights: one in 2,000 is an outlier of up to 20 spreads. */
function poolOf({ mean, spread }: { mean: number; spread: number }): Pool {
  const key = `${mean} ${spread}`;
  let pool = pools.get(key);
  if (!pool) {
    const halves = new Uint16Array(POOL);
    for (let i = 0; i < POOL; i++) {
      const uniform = (salt: number) => hash(i, salt) / 2 ** 32;
      const normal = (uniform(1) + uniform(2) + uniform(3) + uniform(4) - 2) * 1.7;
      const outlier = hash(i, 5) % 2000 === 0 ? 1 + 6 * uniform(6) : 1;
      halves[i] = toHalf(mean + normal * spread * outlier);
    }
    const bytes = new Uint8Array(halves.buffer);
    const sums = new Int32Array(POOL + 1);
    for (let i = 0; i < POOL; i++) {
      sums[i + 1] = shiftCrc32(sums[i]!, 2) ^ crc32(bytes.subarray(2 * i, 2 * i + 2));
    }
    pool = { bytes, sums };
    pools.set(key, pool);
  }
  return pool;
}

/** A 32-bit mix of integers (murmur's finaliser over a running sum). */
function hash(...values: number[]): number {
  let state = 0x9e3779b9;
  for (const value of values) {
    state = Math.imul(state ^ value, 0x85ebca6b);
    state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35);
    state ^= state >>> 16;
  }
  return state >>> 0;
}
