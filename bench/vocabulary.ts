import llama from "llama-tokenizer-js";
import type { ReadFile } from "../src/tokenizer/load.ts";
import { llamaHead, type PieceSpec, writeModel } from "./model-proto.ts";

/** What Ziya's makers added to LLaMA's 32,000 pieces: single Chinese characters, and two tokens beside the model. */
export const ADDED_CHARACTERS = 7_408;

const SPACES_ONLY = /^\u2581{2,}$/;

/** The 61,249 merges of LLaMA's tokenizer.json, best first, as the package stores them. */
export const llamaMerges: readonly string[] = [...llama.merges]
  .sort((a, b) => a[1] - b[1])
  .map(([merge]) => merge);

/** The 7,408 first characters from U+4E00 on that LLaMA has no piece for. (Which ones Ziya chose changes no test.) */
export function addedCharacters(): string[] {
  const characters: string[] = [];
  for (let codePoint = 0x4e00; characters.length < ADDED_CHARACTERS; codePoint++) {
    const character = String.fromCodePoint(codePoint);
    if (!llama.vocabByString.has(character)) characters.push(character);
  }
  return characters;
}

/**
 * LLaMA's pieces with scores that make SentencePiece merge in the order of the list: minus the number of pieces before
 * it; and -1e9 for runs of spaces, whose order in the list (by left part, then right) shows that their scores tie.
 */
function llamaPieces(): PieceSpec[] {
  const scores = new Map<string, number>();
  for (const merge of llamaMerges) {
    const piece = merge.replace(" ", "");
    if (SPACES_ONLY.test(piece)) scores.set(piece, -1e9);
    else if (!scores.has(piece)) scores.set(piece, -scores.size);
  }
  return [
    ...llamaHead(),
    ...llama.vocabById.slice(259).map((piece) => ({ piece, score: scores.get(piece) ?? -1e9 })),
  ];
}

/** A tokenizer.model of 39,408 pieces, as Ziya's. */
export function fullModel(): Uint8Array {
  return writeModel({
    pieces: [...llamaPieces(), ...addedCharacters().map((piece) => ({ piece, score: 0 }))],
  });
}

const token = (content: string) => ({
  content,
  lstrip: false,
  normalized: true,
  rstrip: false,
  single_word: false,
});

/** The JSON files beside Ziya's tokenizer.model (their keys; model_max_length as transformers writes it). */
export const ziyaJson: Record<string, object> = {
  "added_tokens.json": { "<bot>": 39409, "<human>": 39408 },
  "special_tokens_map.json": {
    additional_special_tokens: ["<human>", "<bot>"],
    bos_token: token("<s>"),
    eos_token: token("</s>"),
    unk_token: token("<unk>"),
  },
  "tokenizer_config.json": {
    add_bos_token: true,
    add_eos_token: false,
    bos_token: { __type: "AddedToken", ...token("<s>") },
    clean_up_tokenization_spaces: false,
    eos_token: { __type: "AddedToken", ...token("</s>") },
    model_max_length: 1e30,
    pad_token: null,
    sp_model_kwargs: {},
    tokenizer_class: "LlamaTokenizer",
    unk_token: { __type: "AddedToken", ...token("<unk>") },
  },
};

/** The tokenizer.json that transformers would have converted: LLaMA's merges, the added characters without any. */
export function fullTokenizerJson(): Record<string, unknown> {
  const pieces = [...llama.vocabById, ...addedCharacters()];
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: ["<unk>", "<s>", "</s>", "<human>", "<bot>"].map((content, index) => ({
      id: index < 3 ? index : 39_405 + index,
      ...token(content),
      special: true,
    })),
    ...llamaJsonStages,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: "<unk>",
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: true,
      vocab: Object.fromEntries(pieces.map((piece, id) => [piece, id])),
      merges: llamaMerges,
    },
  };
}

/** What a tokenizer.json of the LLaMA family has around its model. */
export const llamaJsonStages = {
  normalizer: {
    type: "Sequence",
    normalizers: [
      { type: "Prepend", prepend: "\u2581" },
      { type: "Replace", pattern: { String: " " }, content: "\u2581" },
    ],
  },
  pre_tokenizer: null,
  post_processor: {
    type: "TemplateProcessing",
    single: [{ SpecialToken: { id: "<s>", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
    pair: [],
    special_tokens: { "<s>": { id: "<s>", ids: [1], tokens: ["<s>"] } },
  },
  decoder: {
    type: "Sequence",
    decoders: [
      { type: "Replace", pattern: { String: "\u2581" }, content: " " },
      { type: "ByteFallback" },
      { type: "Fuse" },
      { type: "Strip", content: " ", start: 1, stop: 0 },
    ],
  },
};

/** A checkpoint folder in memory: bytes as they are, anything else as JSON. */
export function folder(files: Record<string, unknown>): ReadFile {
  return async (name) => {
    const file = files[name];
    if (file === undefined || file instanceof Uint8Array) return file;
    return new TextEncoder().encode(JSON.stringify(file));
  };
}
