import { closeSync, openSync, writeSync } from "node:fs";
import { junkPieces } from "../../fixtures/peers/checkpoint.ts";
import type { Config } from "../../src/model/config.ts";
import { tensorShapes } from "../../src/model/weights.ts";

/** What llama.cpp reads, version 3: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
const VERSION = 3;
const ALIGNMENT = 32;
/** GGUF's codes of metadata values. */
const VALUE = { uint32: 4, int32: 5, float32: 6, bool: 7, string: 8, array: 9 } as const;
/**
 * ggml's tensor types: its code, the weights of a block and the bytes they take, and llama.cpp's code for a file that is
 * mostly of that type (`llama_ftype` of llama.h).
 */
export const GGML_TYPES = {
  F32: { code: 0, weights: 1, bytes: 4, file: 0 },
  F16: { code: 1, weights: 1, bytes: 2, file: 1 },
  Q4_0: { code: 2, weights: 32, bytes: 18, file: 2 },
  Q4_K: { code: 12, weights: 256, bytes: 144, file: 14 },
} as const;
/** Kinds of pieces in SentencePiece's numbering. */
const PIECE = { normal: 1, unknown: 2, control: 3, byte: 6 } as const;

export type GgmlType = keyof typeof GGML_TYPES;

/** A tensor of a file, by its name in HF's checkpoint. */
export interface GgufTensor {
  readonly name: string;
  /** [rows, columns] or [length]. */
  readonly shape: readonly number[];
  readonly type: GgmlType;
}

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

/** llama.cpp's name for a tensor by HF's. */
export function ggufName(name: string): string {
  return NAMES.reduce((renamed, [pattern, to]) => renamed.replace(pattern, to), name);
}

/**
 * Writes a GGUF file of llama.cpp's "llama" architecture: matrices as `type`, vectors as F32. The vocabulary has the right
 * length and no meaning.
 * @param dataOf The bytes of a tensor, a part at a time; together as many as its type and shape take.
 * @throws Error when a matrix has no whole blocks in its rows, or `dataOf` gives too few or too many bytes.
 */
export async function writeGgufFile(
  path: string,
  config: Config,
  type: GgmlType,
  dataOf: (tensor: GgufTensor) => AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): Promise<void> {
  const tensors = [...tensorShapes(config)].map(([name, shape]) => {
    const tensor: GgufTensor = { name, shape, type: shape.length === 1 ? "F32" : type };
    return { ...tensor, bytes: bytesOf(tensor) };
  });
  const infos: Uint8Array[] = [];
  let offset = 0;
  for (const { name, shape, type, bytes } of tensors) {
    // ggml lists the fastest dimension first.
    const dimensions = [...shape].reverse();
    infos.push(
      text(ggufName(name)),
      uint32(dimensions.length),
      ...dimensions.map(uint64),
      uint32(GGML_TYPES[type].code),
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
    writeSync(out, head);
    writePadding(out, head.length);
    for (const tensor of tensors) {
      let written = 0;
      for await (const part of dataOf(tensor)) {
        writeWhole(out, part);
        written += part.length;
      }
      if (written !== tensor.bytes) {
        throw new Error(`${tensor.name} was given ${written} bytes; wanted ${tensor.bytes}.`);
      }
      writePadding(out, written);
    }
  } finally {
    closeSync(out);
  }
}

function bytesOf({ name, shape, type }: GgufTensor): number {
  const { weights, bytes } = GGML_TYPES[type];
  const columns = shape.at(-1)!;
  if (columns % weights !== 0) {
    throw new Error(`${name} has ${columns} columns; ${type} has blocks of ${weights}.`);
  }
  return (shape.reduce((a, b) => a * b) / weights) * bytes;
}

function metadata(config: Config, type: GgmlType): Uint8Array[] {
  const pieces = junkPieces(config.vocab_size);
  const kinds = pieces.map((piece, id) => {
    if (id < 3) return id === 0 ? PIECE.unknown : PIECE.control;
    return piece.startsWith("<0x") ? PIECE.byte : PIECE.normal;
  });
  return [
    entry("general.architecture", VALUE.string, text("llama")),
    entry("general.name", VALUE.string, text("ziya-webgpu comparison")),
    entry("general.file_type", VALUE.uint32, uint32(GGML_TYPES[type].file)),
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

function writePadding(file: number, bytes: number): void {
  writeSync(file, new Uint8Array(padded(bytes) - bytes));
}

/** A single write takes at most 2 GiB on Linux, and may take less than it is given. */
function writeWhole(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
}
