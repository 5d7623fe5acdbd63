import { TokenizerError } from "../errors.ts";
import { asArray, asId, asObject, asString, type JsonObject, show } from "./json.ts";
import {
  byteOfPiece,
  checkPieces,
  Kind,
  MAX_PIECE_BYTES,
  MAX_PIECES,
  packMerges,
  reservePieces,
  SPACE,
  Symbols,
  type Vocabulary,
} from "./vocabulary.ts";

/** Merges in one file, LLaMA's has 61,249. Ranks must stay below the 2^23 that a heap key has room for. */
const MAX_MERGES = 1 << 22;

const NORMALIZER = {
  type: "Sequence",
  normalizers: [
    { type: "Prepend", prepend: SPACE },
    { type: "Replace", pattern: { String: " " }, content: SPACE },
  ],
};

const DECODER = {
  type: "Sequence",
  decoders: [
    { type: "Replace", pattern: { String: SPACE }, content: " " },
    { type: "ByteFallback" },
    { type: "Fuse" },
    { type: "Strip", content: " ", start: 1, stop: 0 },
  ],
};

/**
 * Reads the vocabulary of a `tokenizer.json` that was converted from a LLaMA-like SentencePiece model; its ids are those
 * of the `tokenizer.model` it came from. `json` is the parsed file, `name` what messages call it, `special` are pieces
 * that text never becomes. Added tokens that are not special are the model's user-defined pieces. Its post-processor
 * (which only puts BOS and EOS around a text) is not read: callers say whether they want BOS. Throws TokenizerError.
 */
export function readTokenizerJson(
  json: JsonObject,
  name = "tokenizer.json",
  special: ReadonlySet<string> = new Set(),
): Vocabulary {
  const model = asObject(json.model, `${name}: model`);
  expect(model.type ?? "BPE", "BPE", `${name}: model.type`);
  expect(model.byte_fallback, true, `${name}: model.byte_fallback`);
  expect(json.normalizer, NORMALIZER, `${name}: normalizer`);
  expect(json.decoder, DECODER, `${name}: decoder`);
  for (const key of ["pre_tokenizer", "truncation", "padding"])
    expect(json[key] ?? null, null, `${name}: ${key}`);
  for (const key of ["dropout", "continuing_subword_prefix", "end_of_word_suffix"]) {
    expect(model[key] ?? null, null, `${name}: model.${key}`);
  }
  expect(model.ignore_merges ?? false, false, `${name}: model.ignore_merges`);

  const pieces = readPieces(asObject(model.vocab, `${name}: model.vocab`), name);
  const ids = new Map(pieces.map((piece, id) => [piece, id]));
  const idOf = (piece: string, role: string): number => {
    const id = ids.get(piece);
    if (id === undefined)
      throw new TokenizerError(`${name} has no piece ${show(piece)}, which it needs as ${role}.`);
    return id;
  };
  const unknownId = idOf(asString(model.unk_token, `${name}: model.unk_token`), "the unknown token");
  const kinds = pieces.map((piece): Kind => (byteOfPiece(piece) === undefined ? Kind.NORMAL : Kind.BYTE));
  for (const [index, token] of asArray(json.added_tokens ?? [], `${name}: added_tokens`).entries()) {
    const { content, special } = asObject(token, `${name}: added_tokens[${index}]`);
    const id = ids.get(content as string);
    if (id === undefined) continue;
    if (special !== false) kinds[id] = Kind.CONTROL;
    else if (kinds[id] === Kind.NORMAL) kinds[id] = Kind.USER_DEFINED;
  }
  reservePieces(pieces, kinds, special);
  kinds[unknownId] = Kind.UNKNOWN;
  const [bosId, eosId] = [idOf("<s>", "BOS"), idOf("</s>", "EOS")];
  kinds[bosId] = Kind.CONTROL;
  kinds[eosId] = Kind.CONTROL;
  checkPieces(name, pieces, kinds);
  for (let byte = 0; byte < 256; byte++)
    idOf(`<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`, "a byte");

  const merges = asArray(model.merges, `${name}: model.merges`);
  return {
    name,
    pieces,
    kinds,
    unknownId,
    bosId,
    eosId,
    byteFallback: true,
    unknownText: " \u2047 ",
    dummyPrefix: true,
    removeExtraSpaces: false,
    merges: mergesByRank(pieces, kinds, merges, name),
  };
}

function readPieces(vocab: JsonObject, name: string): string[] {
  const entries = Object.entries(vocab);
  if (entries.length > MAX_PIECES) {
    throw new TokenizerError(`${name} has ${entries.length} pieces; up to ${MAX_PIECES} are read.`);
  }
  const pieces: string[] = [];
  for (const [piece, value] of entries) {
    const id = asId(value, `${name}: the id of ${show(piece)}`);
    if (id >= entries.length || pieces[id] !== undefined) {
      throw new TokenizerError(
        `${name} gives ${show(piece)} the id ${id}; ${entries.length} pieces have the ids 0 to ${entries.length - 1}, each once.`,
      );
    }
    // Three bytes at most for each UTF-16 unit.
    if (piece.length * 3 > MAX_PIECE_BYTES && new TextEncoder().encode(piece).length > MAX_PIECE_BYTES) {
      throw new TokenizerError(`${name} has a piece above ${MAX_PIECE_BYTES} bytes: ${show(piece)}.`);
    }
    pieces[id] = piece;
  }
  return pieces;
}

/**
 * Merges as listed, best first. The listing has each piece once for every way to split it in two, one after the other;
 * SentencePiece gives all of them the piece's score and takes the leftmost, so neighbours in the list that make the
 * same piece get the same rank. (A converter that put them in another order would otherwise change the ids.) It also
 * lists merges into and out of added tokens, which no text takes: those are matched as a whole, or never.
 */
function mergesByRank(
  pieces: readonly string[],
  kinds: readonly Kind[],
  listed: readonly unknown[],
  name: string,
): Vocabulary["merges"] {
  if (listed.length > MAX_MERGES) {
    throw new TokenizerError(`${name} has ${listed.length} merges; up to ${MAX_MERGES} are read.`);
  }
  const symbols = new Symbols(pieces, kinds);
  const added = new Set(
    pieces.filter((_, id) => kinds[id] === Kind.USER_DEFINED || kinds[id] === Kind.CONTROL),
  );
  const merges: [number, number, number, number][] = [];
  let rank = -1;
  let previous = -1;
  for (const [index, entry] of listed.entries()) {
    const pair = typeof entry === "string" ? entry.split(" ") : entry;
    const [left, right] = Array.isArray(pair) && pair.length === 2 ? (pair as unknown[]) : [];
    if (typeof left !== "string" || typeof right !== "string") {
      throw new TokenizerError(
        `${name}: model.merges[${index}] should be two pieces, and is ${show(entry)}.`,
      );
    }
    if (added.has(left) || added.has(right) || added.has(left + right)) continue;
    const [leftId, rightId, id] = [symbols.find(left), symbols.find(right), symbols.find(left + right)];
    if (!isPiece(leftId, pieces) || !isPiece(rightId, pieces) || !isPiece(id, pieces)) {
      throw new TokenizerError(
        `${name}: model.merges[${index}] is ${show(entry)}, which are not pieces that merge into one.`,
      );
    }
    if (id !== previous) rank++;
    previous = id;
    merges.push([leftId, rightId, id, rank]);
  }
  return packMerges(symbols, merges);
}

function isPiece(symbol: number | undefined, pieces: readonly string[]): symbol is number {
  return symbol !== undefined && symbol < pieces.length;
}

/** Refuses a setting that is not exactly the one that is understood. */
function expect(found: unknown, want: unknown, where: string): void {
  if (!matches(found, want)) {
    throw new TokenizerError(
      `${where} is ${show(found)}, which is not supported; a LLaMA-like tokenizer has ${show(want)} there.`,
    );
  }
}

/** Deep equality, as deep as `want` goes. */
function matches(found: unknown, want: unknown): boolean {
  if (typeof want !== "object" || want === null) return found === want;
  if (typeof found !== "object" || found === null || Array.isArray(found) !== Array.isArray(want))
    return false;
  const entries = Object.entries(want);
  if (Object.keys(found).length !== entries.length) return false;
  return entries.every(([key, value]) => matches((found as JsonObject)[key], value));
}
