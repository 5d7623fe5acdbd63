import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { narrowToHalves } from "../../src/f16.ts";
import { uniform } from "../../src/generate/random.ts";
import { type Config, parseConfig } from "../../src/model/config.ts";
import { tensorShapes } from "../../src/model/weights.ts";

/** A random model that the implementations are compared on. */
export interface Variant {
  readonly name: string;
  /** Keys of config.json that differ from `BASE`. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Of weights and tokens. */
  readonly seed: number;
}

const BASE = {
  architectures: ["LlamaForCausalLM"],
  bos_token_id: 1,
  eos_token_id: 2,
  hidden_act: "silu",
  hidden_size: 256,
  intermediate_size: 704,
  max_position_embeddings: 512,
  model_type: "llama",
  num_attention_heads: 8,
  num_hidden_layers: 2,
  rms_norm_eps: 1e-6,
  tie_word_embeddings: false,
  // No multiple of 32, and not of 4.
  vocab_size: 1003,
};

/** The seeds are such that PyTorch's two best logits are at least 0.018 apart at each of the first 96 positions. */
export const VARIANTS: readonly Variant[] = [
  { name: "MHA, heads of 32", config: {}, seed: 8 },
  { name: "GQA 8:2, heads of 32", config: { num_key_value_heads: 2 }, seed: 1 },
  { name: "MHA, heads of 128", config: { num_attention_heads: 2 }, seed: 7 },
  {
    name: "GQA 4:2, heads of 128",
    config: { hidden_size: 512, intermediate_size: 1376, num_attention_heads: 4, num_key_value_heads: 2 },
    seed: 3,
  },
  {
    name: "GQA 6:1, heads of 64, wider than the model",
    config: { num_attention_heads: 6, num_key_value_heads: 1, head_dim: 64, vocab_size: 777 },
    seed: 5,
  },
  {
    name: "RoPE scaled by 2, head tied, eps 1e-5",
    config: { rope_scaling: { type: "linear", factor: 2 }, tie_word_embeddings: true, rms_norm_eps: 1e-5 },
    seed: 7,
  },
];

/** Spread of the logits: their largest has about a tenth of the probability, as in a trained model that is unsure. */
const LOGIT_SPREAD = 3;
/** Spread of queries and keys: attention looks at a few tokens, not at all alike. */
const ATTENTION_SPREAD = 1.6;

/** The smallest and largest id of the words; those below are `<unk>`, `<s>`, `</s>` and the bytes. */
const FIRST_WORD = 259;

/** Writes a checkpoint in Hugging Face's layout; the same variant gives the same bytes. */
export function writeCheckpoint(folder: string, variant: Variant, dtype: "F32" | "F16"): Config {
  const json = JSON.stringify(
    { ...BASE, ...variant.config, torch_dtype: dtype === "F32" ? "float32" : "float16" },
    null,
    2,
  );
  const config = parseConfig(json);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "config.json"), `${json}\n`);
  writeFileSync(join(folder, "tokenizer.json"), tokenizerJson(config.vocab_size));
  writeFileSync(
    join(folder, "model.safetensors"),
    safetensors(randomTensors(config, variant.seed), config, dtype),
  );
  return config;
}

/** Token ids that the seed decides, from the whole vocabulary. */
export function randomTokens(count: number, vocab: number, seed: number): number[] {
  return Array.from({ length: count }, (_, i) => Math.floor(uniform(seed, i) * vocab));
}

/** Pieces of a vocabulary that no text is ever split into: only their number matters. */
export function junkPieces(vocab: number): string[] {
  return Array.from({ length: vocab }, (_, id) => {
    if (id < 3) return ["<unk>", "<s>", "</s>"][id]!;
    if (id < FIRST_WORD) return `<0x${(id - 3).toString(16).toUpperCase().padStart(2, "0")}>`;
    return `word${id}`;
  });
}

function randomTensors(config: Config, seed: number): Map<string, Float32Array> {
  const { hidden_size: dim, tie_word_embeddings: tied } = config;
  const tensors = new Map<string, Float32Array>();
  for (const [name, shape] of tensorShapes(config)) {
    const count = shape.reduce((a, b) => a * b);
    const at = seed * 1000 + tensors.size;
    if (shape.length === 1) {
      tensors.set(
        name,
        Float32Array.from(normals(count, at), (value) => 1 + value / 8),
      );
      continue;
    }
    const gain = /lm_head|embed_tokens/.test(name)
      ? LOGIT_SPREAD
      : /[qk]_proj/.test(name)
        ? ATTENTION_SPREAD
        : 1;
    // A tied embedding is head first: rows of length LOGIT_SPREAD, which the first norm brings back to size.
    const embedding = name === "model.embed_tokens.weight" && !tied;
    const spread = embedding ? 1 : gain * (shape[1] ?? dim) ** -0.5;
    tensors.set(
      name,
      Float32Array.from(normals(count, at), (value) => value * spread),
    );
  }
  return tensors;
}

/** Normally distributed numbers (Box and Muller). */
function* normals(count: number, seed: number): Generator<number> {
  for (let i = 0; i < count; i++) {
    const radius = Math.sqrt(-2 * Math.log(1 - uniform(seed, 2 * i)));
    yield radius * Math.cos(2 * Math.PI * uniform(seed, 2 * i + 1));
  }
}

/** A safetensors file: its header's length in 8 bytes, the header as JSON, the tensors. */
function safetensors(
  tensors: ReadonlyMap<string, Float32Array>,
  config: Config,
  dtype: "F32" | "F16",
): Buffer {
  const shapes = tensorShapes(config);
  const parts: Uint8Array[] = [];
  const header: Record<string, unknown> = {};
  let end = 0;
  for (const [name, values] of tensors) {
    const stored = dtype === "F32" ? values : narrowToHalves(values);
    header[name] = { dtype, shape: shapes.get(name), data_offsets: [end, end + stored.byteLength] };
    parts.push(new Uint8Array(stored.buffer));
    end += stored.byteLength;
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, ...parts]);
}

/** A byte-fallback vocabulary without merges, as Hugging Face converts LLaMA's. */
function tokenizerJson(vocab: number): string {
  return JSON.stringify({
    version: "1.0",
    added_tokens: [],
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "Prepend", prepend: "▁" },
        { type: "Replace", pattern: { String: " " }, content: "▁" },
      ],
    },
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: "▁" }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        { type: "Strip", content: " ", start: 1, stop: 0 },
      ],
    },
    model: {
      type: "BPE",
      unk_token: "<unk>",
      byte_fallback: true,
      fuse_unk: true,
      vocab: Object.fromEntries(junkPieces(vocab).map((piece, id) => [piece, id])),
      merges: [],
    },
  });
}
