import { closeSync, openSync, writeSync } from "node:fs";
import { junkPieces } from "../../fixtures/peers/checkpoint.ts";
import { expectTensor } from "../../src/checkpoint/checkpoint.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import type { OpenFile } from "../../src/checkpoint/source.ts";
import { narrowToHalves } from "../../src/f16.ts";
import { type Config, parseConfig } from "../../src/model/config.ts";
import { tensorShapes } from "../../src/model/weights.ts";

/** What llama.cpp reads, version 3: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
const VERSION = 3;
const ALIGNMENT = 32;
/** GGUF's codes of metadata values. */
const VALUE = { uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, array: 9 } as const;
/** ggml's codes of tensor types, which are also llama.cpp's codes of "all F32" and "mostly F16" files. */
const GGML_TYPE = { F32: 0, F16: 1 } as const;
/** Kinds of pieces in SentencePiece's numbering. */
const PIECE = { normal: 1, unknown: 2, control: 3, byte: 6 } as const;

export type GgufType = keyof typeof GGML_TYPE;

/** llama.cpp's names for HF's. */
const NAMES: readonly (readonly [RegExp, string])[] = [
  [/^model\.embed_tokens\./, "token_embd."],
  [/^model\.norm\./, "output_norm."],
  [/^lm_head\./, "output."],
  [/^model\.layers\.(\d+)\./, "blk.$1."],
  [/input_layernorm/, "attn_norm"],
  [/post_attention_layernorm/, "ffn_norm"],
  [/self_attn\.([qkv])_proj/, "attn_$1"],
  [/self_attn\.o_proj/, "attn_output"],
  [/mlp\.(gate|up|down)_proj/, "ffn_$1"],
];

/**
 * Writes the checkpoint of a folder in HF layout as a GGUF file of llama.cpp's "llama" architecture. Matrices are stored
 * as `type`, vectors always as F32. The vocabulary has the right length and no meaning.
 */
export async function writeGguf(open: OpenFile, path: string, type: GgufType): Promise<void> {
  const file = await open("config.json");
  if (!file) throw new Error("The folder has no config.json.");
  const config = parseConfig(new TextDecoder().decode(await file.read(0, file.size)));
  const checkpoint = await openCheckpoint(open);
  const tensors = [...tensorShapes(config)].map(([name, shape]) => {
    expectTensor(checkpoint, name, shape);
    const stored: GgufType = shape.length === 1 ? "F32" : type;
    const bytes = shape.reduce((a, b) => a * b) * (stored === "F32" ? 4 : 2);
    return { name, shape, stored, bytes };
  });

  const infos: Uint8Array[] = [];
  let offset = 0;
  for (const { name, shape, stored, bytes } of tensors) {
    // ggml lists the fastest dimension first.
    const dimensions = [...shape].reverse();
    infos.push(
      text(NAMES.reduce((renamed, [pattern, to]) => renamed.replace(pattern, to), name)),
      uint32(dimensions.length),
      ...dimensions.map(uint64),
      uint32(GGML_TYPE[stored]),
      uint64(offset),
    );
    offset += padded(bytes);
  }
  const entries = metadata(config, type);
  const head = Buffer.concat([
    new TextEncoder().encode("GGUF"),
    uint32(VERSION),
    uint64(tensors.length),
    uint64(entries.length),
    ...entries,
    ...infos,
  ]);

  const out = openSync(path, "w");
  try {
    writePadded(out, head);
    for (const { name, shape, stored } of tensors) {
      const rows = await checkpoint.readRows(name, 0, shape[0]!);
      const values = reorder(name, rows, shape, config);
      const data = stored === "F32" ? values : narrowToHalves(values);
      writePadded(out, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
  } finally {
    closeSync(out);
  }
}

/**
 * llama.cpp rotates neighbours (2i, 2i + 1) where HF's checkpoints pair (i, i + headDim / 2): within a head of W_q and W_k,
 * HF's row c · headDim / 2 + i becomes row 2i + c.
 */
function reorder(name: string, rows: Float32Array, shape: readonly number[], config: Config): Float32Array {
  if (!/[qk]_proj/.test(name)) return rows;
  const [count, columns] = shape as readonly [number, number];
  const { head_dim: headDim } = config;
  const half = headDim / 2;
  const result = new Float32Array(rows.length);
  for (let row = 0; row < count; row++) {
    const within = row % headDim;
    const target = row - within + 2 * (within % half) + Math.floor(within / half);
    result.set(rows.subarray(row * columns, (row + 1) * columns), target * columns);
  }
  return result;
}

function metadata(config: Config, type: GgufType): Uint8Array[] {
  const pieces = junkPieces(config.vocab_size);
  const kinds = pieces.map((piece, id) => {
    if (id < 3) return id === 0 ? PIECE.unknown : PIECE.control;
    return piece.startsWith("<0x") ? PIECE.byte : PIECE.normal;
  });
  return [
    entry("general.architecture", VALUE.string, text("llama")),
    entry("general.name", VALUE.string, text("ziya-webgpu comparison")),
    entry("general.file_type", VALUE.uint32, uint32(GGML_TYPE[type])),
    entry("llama.block_count", VALUE.uint32, uint32(config.num_hidden_layers)),
    entry("llama.context_length", VALUE.uint32, uint32(config.max_position_embeddings)),
    entry("llama.embedding_length", VALUE.uint32, uint32(config.hidden_size)),
    entry("llama.feed_forward_length", VALUE.uint32, uint32(config.intermediate_size)),
    entry("llama.attention.head_count", VALUE.uint32, uint32(config.num_attention_heads)),
    entry("llama.attention.head_count_kv", VALUE.uint32, uint32(config.num_key_value_heads)),
    entry("llama.attention.key_length", VALUE.uint32, uint32(config.head_dim)),
    entry("llama.attention.value_length", VALUE.uint32, uint32(config.head_dim)),
    entry("llama.attention.layer_norm_rms_epsilon", VALUE.float32, float32(config.rms_norm_eps)),
    entry("llama.rope.dimension_count", VALUE.uint32, uint32(config.head_dim)),
    entry("llama.rope.freq_base", VALUE.float32, float32(config.rope_theta)),
    ...(config.rope_factor === 1
      ? []
      : [
          entry("llama.rope.scaling.type", VALUE.string, text("linear")),
          entry("llama.rope.scaling.factor", VALUE.float32, float32(config.rope_factor)),
        ]),
    entry("llama.vocab_size", VALUE.uint32, uint32(config.vocab_size)),
    entry("tokenizer.ggml.model", VALUE.string, text("llama")),
    entry("tokenizer.ggml.tokens", VALUE.array, array(VALUE.string, pieces.map(text))),
    entry(
      "tokenizer.ggml.scores",
      VALUE.array,
      array(
        VALUE.float32,
        pieces.map((_, id) => float32(-id)),
      ),
    ),
    entry("tokenizer.ggml.token_type", VALUE.array, array(VALUE.int32, kinds.map(uint32))),
    entry("tokenizer.ggml.bos_token_id", VALUE.uint32, uint32(1)),
    entry("tokenizer.ggml.eos_token_id", VALUE.uint32, uint32(2)),
    entry("tokenizer.ggml.unknown_token_id", VALUE.uint32, uint32(0)),
    entry("tokenizer.ggml.add_bos_token", VALUE.bool, Uint8Array.of(0)),
  ];
}

function entry(key: string, type: number, value: Uint8Array): Uint8Array {
  return Buffer.concat([text(key), uint32(type), value]);
}

function array(type: number, values: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat([uint32(type), uint64(values.length), ...values]);
}

function text(value: string): Uint8Array {
  const bytes = Buffer.from(value);
  return Buffer.concat([uint64(bytes.length), bytes]);
}

function uint32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function uint64(value: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function float32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
}

function padded(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

function writePadded(file: number, bytes: Uint8Array): void {
  writeSync(file, bytes);
  writeSync(file, new Uint8Array(padded(bytes.length) - bytes.length));
}
