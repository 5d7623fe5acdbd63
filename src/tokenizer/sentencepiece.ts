import { TokenizerError } from "../errors.ts";
import { MessageReader } from "./protobuf.ts";
import {
  checkPieces,
  Kind,
  MAX_PIECE_BYTES,
  MAX_PIECES,
  packMerges,
  reservePieces,
  Symbols,
  type Vocabulary,
} from "./vocabulary.ts";

/** The largest `tokenizer.model` that is read. Ziya's has 588 kB, the largest published ones 5 MB. */
export const MAX_MODEL_BYTES = 8 * 1024 * 1024;

const MODEL_TYPES: Record<number, string> = { 1: "unigram", 2: "BPE", 3: "word", 4: "char" };

/** Field numbers of sentencepiece_model.proto, those that change what text becomes. */
const MODEL = { pieces: 1, trainerSpec: 2, normalizerSpec: 3, denormalizerSpec: 5 };

/** The defaults of the .proto file: what a model leaves out, it means. */
const PIECE = { text: "", score: 0, kind: Kind.NORMAL as number };
const TRAINER = {
  modelType: 1,
  suffix: false,
  byteFallback: false,
  bosId: 1,
  eosId: 2,
  unknownText: " \u2047 ",
};
const NORMALIZER = { charsMap: 0, dummyPrefix: true, removeExtraSpaces: true, escapeSpaces: true };

/** How the fields of a message are read, by their numbers. */
type Fields<Message> = Readonly<Record<number, (field: MessageReader) => Partial<Message>>>;

const PIECE_FIELDS: Fields<typeof PIECE> = {
  1: (field) => ({ text: field.text(MAX_PIECE_BYTES) }),
  2: (field) => ({ score: field.float() }),
  3: (field) => ({ kind: field.int32() }),
};
const TRAINER_FIELDS: Fields<typeof TRAINER> = {
  3: (field) => ({ modelType: field.int32() }),
  24: (field) => ({ suffix: field.bool() }),
  35: (field) => ({ byteFallback: field.bool() }),
  41: (field) => ({ bosId: field.int32() }),
  42: (field) => ({ eosId: field.int32() }),
  44: (field) => ({ unknownText: field.text(MAX_PIECE_BYTES) }),
};
const NORMALIZER_FIELDS: Fields<typeof NORMALIZER> = {
  2: (field) => ({ charsMap: field.bytes().length }),
  3: (field) => ({ dummyPrefix: field.bool() }),
  4: (field) => ({ removeExtraSpaces: field.bool() }),
  5: (field) => ({ escapeSpaces: field.bool() }),
};

/**
 * Reads a SentencePiece model (`tokenizer.model`): BPE with identity normalisation, which is what LLaMA and Ziya
 * have. Anything else it could ask for is refused by name. `name` is what messages call the file, `special` are pieces
 * that text never becomes, also where the file itself calls them user-defined.
 *
 * Throws TokenizerError. Time and memory grow with the file's length times that of a piece, both of which are bounded:
 * a hostile file of `MAX_MODEL_BYTES` takes seconds, Ziya's 0.2 s.
 */
export function readSentencePieceModel(
  bytes: Uint8Array,
  name = "tokenizer.model",
  special: ReadonlySet<string> = new Set(),
): Vocabulary {
  if (bytes.length > MAX_MODEL_BYTES) {
    throw new TokenizerError(`${name} has ${bytes.length} bytes; up to ${MAX_MODEL_BYTES} are read.`);
  }
  const pieces: string[] = [];
  const kinds: Kind[] = [];
  const scores: number[] = [];
  let trainer = TRAINER;
  let normalizer = NORMALIZER;

  const model = new MessageReader(bytes, name);
  while (model.next()) {
    if (model.field === MODEL.pieces) {
      if (pieces.length === MAX_PIECES) {
        throw new TokenizerError(`${name} has more than ${MAX_PIECES} pieces, which is as many as are read.`);
      }
      const piece = readPiece(model.bytes(), name, pieces.length);
      pieces.push(piece.text);
      kinds.push(piece.kind);
      scores.push(piece.score);
    } else if (model.field === MODEL.trainerSpec) {
      trainer = readMessage(model.bytes(), `${name} (trainer)`, trainer, TRAINER_FIELDS);
    } else if (model.field === MODEL.normalizerSpec) {
      normalizer = readNormalizer(model.bytes(), name, normalizer);
    } else if (model.field === MODEL.denormalizerSpec) {
      readNormalizer(model.bytes(), `${name} (denormalizer)`, NORMALIZER);
    }
  }

  if (trainer.modelType !== 2) {
    const found = MODEL_TYPES[trainer.modelType] ?? `type ${trainer.modelType}`;
    throw new TokenizerError(`${name} is a ${found} model; only SentencePiece BPE models are read.`);
  }
  if (trainer.suffix) throw unsupported(name, "treat_whitespace_as_suffix");
  checkPieces(name, pieces, kinds);
  reservePieces(pieces, kinds, special);
  checkBytes(name, kinds, trainer.byteFallback);
  if (
    normalizer.removeExtraSpaces &&
    pieces.some((piece, id) => kinds[id] === Kind.USER_DEFINED && piece.includes(" "))
  ) {
    throw unsupported(name, "remove_extra_whitespaces beside a user-defined piece with a space");
  }
  const unknownId = kinds.indexOf(Kind.UNKNOWN);
  if (unknownId < 0 || kinds.indexOf(Kind.UNKNOWN, unknownId + 1) >= 0) {
    throw new TokenizerError(
      `${name} must have exactly one piece of the kind "unknown". Fetch the file again.`,
    );
  }
  for (const [label, id] of [["bos", trainer.bosId] as const, ["eos", trainer.eosId] as const]) {
    if (kinds[id] !== Kind.CONTROL) {
      throw new TokenizerError(
        `${name} gives ${label}_id ${id}, which is not a control piece; a LLaMA tokenizer has one.`,
      );
    }
  }
  return {
    name,
    pieces,
    kinds,
    unknownId,
    bosId: trainer.bosId,
    eosId: trainer.eosId,
    byteFallback: trainer.byteFallback,
    unknownText: trainer.unknownText,
    rules: { by: "slow", prefix: normalizer.dummyPrefix ? "each" : "never" },
    dropFirstSpace: normalizer.dummyPrefix || normalizer.removeExtraSpaces,
    removeExtraSpaces: normalizer.removeExtraSpaces,
    merges: mergesByScore(pieces, kinds, scores),
  };
}

/** A message whose fields count over `before`; those that `fields` does not name change nothing. */
function readMessage<Message extends object>(
  bytes: Uint8Array,
  name: string,
  before: Message,
  fields: Fields<Message>,
): Message {
  const message = { ...before };
  const reader = new MessageReader(bytes, name);
  while (reader.next()) Object.assign(message, fields[reader.field]?.(reader));
  return message;
}

function readPiece(bytes: Uint8Array, name: string, id: number): { text: string; score: number; kind: Kind } {
  const label = `${name} (piece ${id})`;
  const { text, score, kind } = readMessage(bytes, label, PIECE, PIECE_FIELDS);
  if (!Number.isFinite(score))
    throw new TokenizerError(`${label} has the score ${score}; scores are finite.`);
  if (!isKind(kind))
    throw new TokenizerError(`${label} is of the kind ${kind}; SentencePiece has kinds 1 to 6.`);
  return { text, score, kind };
}

function readNormalizer(bytes: Uint8Array, name: string, before: typeof NORMALIZER): typeof NORMALIZER {
  const normalizer = readMessage(bytes, `${name} (normalizer)`, before, NORMALIZER_FIELDS);
  if (normalizer.charsMap > 0) throw unsupported(name, "a normalisation table (precompiled_charsmap)");
  if (!normalizer.escapeSpaces) throw unsupported(name, "escape_whitespaces: false");
  return normalizer;
}

/** Which symbols merge: any two whose texts joined are a piece, best score first (bpe_model.cc of SentencePiece). */
function mergesByScore(
  pieces: readonly string[],
  kinds: readonly Kind[],
  scores: readonly number[],
): Vocabulary["merges"] {
  const symbols = new Symbols(pieces, kinds);
  const ranks = new Map<number, number>();
  for (const score of [...new Set(scores)].sort((a, b) => b - a)) ranks.set(score, ranks.size);
  const merges: [number, number, number, number][] = [];
  for (const [id, piece] of pieces.entries()) {
    if (symbols.find(piece) !== id) continue;
    for (const [left, right] of symbols.splits(id)) merges.push([left, right, id, ranks.get(scores[id]!)!]);
  }
  return packMerges(symbols, merges);
}

function checkBytes(name: string, kinds: readonly Kind[], byteFallback: boolean): void {
  const found = kinds.filter((kind) => kind === Kind.BYTE).length;
  const want = byteFallback ? 256 : 0;
  if (found !== want) {
    throw new TokenizerError(
      `${name} has ${found} byte pieces, and byte_fallback ${byteFallback} wants ${want}. Fetch the file again.`,
    );
  }
}

function isKind(value: number): value is Kind {
  return value >= Kind.NORMAL && value <= Kind.BYTE;
}

function unsupported(name: string, what: string): TokenizerError {
  return new TokenizerError(
    `${name} asks for ${what}, which is not supported; LLaMA's and Ziya's models do not.`,
  );
}
