import { isObject, type JsonObject } from "../checkpoint/json.ts";
import { TokenizerError } from "../errors.ts";
import { show } from "../show.ts";
import { asArray, asId, asObject, asString } from "./json.ts";
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
  type TextRules,
  type Vocabulary,
} from "./vocabulary.ts";

/** Merges in one file; LLaMA's has 61,249, the largest published ones half a million. */
const MAX_MERGES = 1 << 20;

const REPLACE = { type: "Replace", pattern: { String: " " }, content: SPACE };
const REPLACE_ALL = { type: "Sequence", normalizers: [REPLACE] };
const NORMALIZER = { type: "Sequence", normalizers: [{ type: "Prepend", prepend: SPACE }, REPLACE] };
const METASPACE = { type: "Metaspace", replacement: SPACE, prepend_scheme: "first", split: false };
const SCHEMES: Readonly<Record<string, TextRules["prefix"]>> = {
  always: "each",
  first: "first",
  never: "never",
};

const DECODERS = [
  { type: "Replace", pattern: { String: SPACE }, content: " " },
  { type: "ByteFallback" },
  { type: "Fuse" },
];
const DECODER = {
  type: "Sequence",
  decoders: [...DECODERS, { type: "Strip", content: " ", start: 1, stop: 0 }],
};

/**
 * Reads the vocabulary of a `tokenizer.json` that was converted from a LLaMA-like SentencePiece model; its ids are those
 * of the `tokenizer.model` it came from. `json` is the parsed file, `name` what messages call it, `special` are pieces
 * that text never becomes. Of the file's added tokens nothing is read here. Throws TokenizerError.
 */
export function readTokenizerJson(
  json: JsonObject,
  name = "tokenizer.json",
  special: ReadonlySet<string> = new Set(),
): Vocabulary {
  const model = asObject(json.model, `${name}: model`);
  expect(model.type ?? "BPE", ["BPE"], `${name}: model.type`);
  expect(model.byte_fallback, [true], `${name}: model.byte_fallback`);
  expect(json.decoder, [DECODER, { type: "Sequence", decoders: DECODERS }], `${name}: decoder`);
  expect(model.dropout ?? null, [null, 0], `${name}: model.dropout`);
  for (const key of ["continuing_subword_prefix", "end_of_word_suffix"]) {
    expect(model[key] ?? null, [null, ""], `${name}: model.${key}`);
  }
  expect(model.ignore_merges ?? false, [false], `${name}: model.ignore_merges`);

  const pieces = readPieces(asObject(model.vocab, `${name}: model.vocab`), name);
  const ids = new Map(pieces.map((piece, id) => [piece, id]));
  const unknown = model.unk_token ?? null;
  const unknownId = ids.get(unknown === null ? "<unk>" : asString(unknown, `${name}: model.unk_token`)) ?? -1;
  if (unknown !== null && unknownId < 0) {
    throw new TokenizerError(`${name} has no piece ${show(unknown)}, which it needs as the unknown token.`);
  }
  const kinds = pieces.map((piece): Kind => (byteOfPiece(piece) === undefined ? Kind.NORMAL : Kind.BYTE));
  if (kinds[unknownId] === Kind.BYTE) {
    throw new TokenizerError(`${name} has ${show(unknown)} as its unknown token, a byte of ordinary text.`);
  }
  reservePieces(pieces, kinds, special);
  const [bosId, eosId] = [ids.get("<s>") ?? -1, ids.get("</s>") ?? -1];
  for (const id of [bosId, eosId]) if (id >= 0) kinds[id] = Kind.CONTROL;
  if (unknownId >= 0) kinds[unknownId] = Kind.UNKNOWN;
  checkPieces(name, pieces, kinds);
  for (let byte = 0; byte < 256; byte++) {
    const piece = `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
    if (!ids.has(piece))
      throw new TokenizerError(`${name} has no piece ${show(piece)}, which it needs as a byte.`);
  }

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
    rules: readRules(json, name),
    dropFirstSpace: matches(json.decoder, DECODER),
    removeExtraSpaces: false,
    merges: mergesByRank(pieces, kinds, merges, name),
  };
}

/** A normalizer that puts spaces in front, or a Metaspace that does: the one or the other. */
function readRules(json: JsonObject, name: string): TextRules {
  const pre = json.pre_tokenizer ?? null;
  if ((json.normalizer ?? null) !== null) {
    expect(json.normalizer, [NORMALIZER, REPLACE_ALL, REPLACE], `${name}: normalizer`);
    expect(pre, [null], `${name}: pre_tokenizer, beside a normalizer`);
    return { by: "normalizer", prefix: matches(json.normalizer, NORMALIZER) ? "each" : "never" };
  }
  const scheme = isObject(pre) ? String(pre.prepend_scheme) : "";
  if (!Object.hasOwn(SCHEMES, scheme))
    expect(pre, [METASPACE], `${name}: pre_tokenizer, without a normalizer`);
  expect(pre, [{ ...METASPACE, prepend_scheme: scheme }], `${name}: pre_tokenizer, without a normalizer`);
  return { by: "metaspace", prefix: SCHEMES[scheme]! };
}

/**
 * Whether BOS and EOS go around a text by the file's post-processor; undefined without one. It may put nothing else.
 * Throws TokenizerError.
 */
export function readPostProcessor(
  json: JsonObject,
  name: string,
): { readonly bos?: string; readonly eos?: string } | undefined {
  const processor = json.post_processor ?? null;
  if (processor === null) return undefined;
  const where = `${name}: post_processor`;
  const { type, single } = asObject(processor, where);
  expect(type, ["TemplateProcessing"], `${where}.type`);
  const parts = asArray(single, `${where}.single`).map((part) => {
    const token = isObject(part) && isObject(part.SpecialToken) ? part.SpecialToken.id : undefined;
    return isObject(part) && isObject(part.Sequence)
      ? undefined
      : asString(token, `${where}.single: a token's id`);
  });
  const at = parts.indexOf(undefined);
  if (at < 0 || at > 1 || parts.length > at + 2 || parts.lastIndexOf(undefined) !== at) {
    throw new TokenizerError(
      `${where}.single is ${show(single)}; wanted a text with at most a token on each side.`,
    );
  }
  const [bos, eos] = [parts[at - 1], parts[at + 1]];
  return { ...(bos !== undefined && { bos }), ...(eos !== undefined && { eos }) };
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
 * same piece get the same rank. (A converter that put them in another order would otherwise change the ids.) It may
 * list merges into and out of special tokens too, which no text takes.
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
  const special = new Set(pieces.filter((_, id) => kinds[id] === Kind.CONTROL));
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
    const [leftId, rightId, id] = [symbols.find(left), symbols.find(right), symbols.find(left + right)];
    if (!isPiece(leftId, pieces) || !isPiece(rightId, pieces) || !isPiece(id, pieces)) {
      if (special.has(left) || special.has(right) || special.has(left + right)) continue;
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

/** Refuses a setting that is none of those that are understood; the message shows the first. */
function expect(found: unknown, wanted: readonly unknown[], where: string): void {
  if (wanted.some((want) => matches(found, want))) return;
  throw new TokenizerError(
    `${where} is ${show(found)}, which is not supported; a LLaMA-like tokenizer has ${show(wanted[0])} there.`,
  );
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
