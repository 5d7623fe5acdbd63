import { TokenizerError } from "../errors.ts";
import { asArray, asBoolean, asId, asObject, asString, isObject, type JsonObject, show } from "./json.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** A string that is one token wherever special strings are recognised. */
export interface SpecialToken {
  readonly id: number;
  readonly text: string;
  /** Whether white space before it goes. */
  readonly stripLeft: boolean;
  /** Whether white space after it goes. */
  readonly stripRight: boolean;
}

/** The JSON files beside a vocabulary that name special tokens; each may be absent. */
export interface SpecialFiles {
  /** `added_tokens` of tokenizer.json. */
  readonly tokenizerJson?: JsonObject | undefined;
  /** added_tokens.json: `{ "<human>": 39408 }`. */
  readonly addedTokens?: JsonObject | undefined;
  readonly specialTokensMap?: JsonObject | undefined;
  readonly tokenizerConfig?: JsonObject | undefined;
}

/** Ids above the vocabulary; a file with more is refused. */
const MAX_ADDED = 1 << 14;

/** Length of a special string in UTF-16 units. */
const MAX_LENGTH = 256;

const NAMED = ["bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token"];
const UNNAMED = "additional_special_tokens";

interface Strip {
  readonly left: boolean;
  readonly right: boolean;
}
const KEEP: Strip = { left: false, right: false };
const STRIP: Strip = { left: true, right: true };

/**
 * The special tokens of a checkpoint, with the rule by which each strips the white space around it, as the slow
 * LlamaTokenizer of transformers 4.28 to 4.33 had it, with which Ziya was trained: a token given as an object does what
 * its `lstrip` and `rstrip` say; one given as a plain string, or only in added_tokens.json, strips both sides; `<s>`,
 * `</s>` and `<unk>` strip nothing unless an object says so.
 *
 * Throws TokenizerError when an id is missing, given twice, or names another piece.
 */
export function readSpecialTokens(vocabulary: Vocabulary, files: SpecialFiles): SpecialToken[] {
  const { pieces } = vocabulary;
  const ids = new Map<string, number>();
  const strips = new Map<string, Strip>();
  const own = [vocabulary.unknownId, vocabulary.bosId, vocabulary.eosId].map((id) => pieces[id]!);
  for (const text of own) ids.set(text, pieces.indexOf(text));
  readIds(files, (text, id, where) => {
    if (text === "" || text.length > MAX_LENGTH) {
      throw new TokenizerError(
        `${where} is ${show(text)}; special strings have 1 to ${MAX_LENGTH} characters.`,
      );
    }
    const known = ids.get(text);
    if ((known !== undefined && known !== id) || (id < pieces.length && pieces[id] !== text)) {
      const owner =
        known !== undefined ? `${show(text)} already has the id ${known}` : `that id is ${show(pieces[id])}`;
      throw new TokenizerError(
        `${where} gives ${show(text)} the id ${id}, but ${owner}. Take all files from one release.`,
      );
    }
    ids.set(text, id);
  });
  readStrips(files, (text, strip, where) => {
    if (!ids.has(text)) {
      const id = pieces.indexOf(text);
      if (id < 0)
        throw new TokenizerError(
          `${where} names ${show(text)}, which has no id. Take all files from one release.`,
        );
      ids.set(text, id);
    }
    if (strip !== STRIP || !own.includes(text)) strips.set(text, strip);
  });
  checkIds(ids, pieces.length);
  return [...ids].map(([text, id]) => {
    const { left, right } = strips.get(text) ?? (own.includes(text) ? KEEP : STRIP);
    return { id, text, stripLeft: left, stripRight: right };
  });
}

/**
 * The strings that text must never become: those with a role, and added tokens, unless the file that tells their flags
 * says that they are not special.
 */
export function readReservedTexts(files: SpecialFiles): ReadonlySet<string> {
  const reserved = new Set(Object.keys(files.addedTokens ?? {}));
  const flagged = [
    ...asArray(files.tokenizerJson?.added_tokens ?? [], "added_tokens"),
    ...decoderEntries(files).map(([, value]) => value),
  ];
  for (const token of flagged) {
    const { content, special } = isObject(token) ? token : {};
    if (special === false) reserved.delete(String(content));
    else reserved.add(String(content));
  }
  readRoles(files, (value) => reserved.add(String(isObject(value) ? value.content : value)));
  return reserved;
}

/** The text of bos_token or eos_token, where a file names it. */
export function namedToken(files: SpecialFiles, key: "bos_token" | "eos_token"): string | undefined {
  const value = files.tokenizerConfig?.[key] ?? files.specialTokensMap?.[key];
  if (value === undefined || value === null) return undefined;
  return asString(isObject(value) ? value.content : value, key);
}

type OnId = (text: string, id: number, where: string) => void;
type OnStrip = (text: string, strip: Strip, where: string) => void;

function readIds(files: SpecialFiles, on: OnId): void {
  for (const [index, value] of asArray(files.tokenizerJson?.added_tokens ?? [], "added_tokens").entries()) {
    const where = `tokenizer.json: added_tokens[${index}]`;
    const token = asObject(value, where);
    on(asString(token.content, `${where}.content`), asId(token.id, `${where}.id`), where);
  }
  for (const [text, id] of Object.entries(files.addedTokens ?? {})) {
    on(text, asId(id, `added_tokens.json: ${show(text)}`), "added_tokens.json");
  }
  for (const [key, value] of decoderEntries(files)) {
    const where = `tokenizer_config.json: added_tokens_decoder[${show(key)}]`;
    const id = asId(/^\d{1,9}$/.test(key) ? Number(key) : key, where);
    on(asString(asObject(value, where).content, `${where}.content`), id, where);
  }
}

/** Calls `on` from the weakest source of strip rules to the strongest. */
function readStrips(files: SpecialFiles, on: OnStrip): void {
  for (const [index, value] of asArray(files.tokenizerJson?.added_tokens ?? [], "added_tokens").entries()) {
    readToken(value, `tokenizer.json: added_tokens[${index}]`, on);
  }
  readRoles(files, (value, where) => readToken(value, where, on));
  for (const [key, value] of decoderEntries(files)) {
    readToken(value, `tokenizer_config.json: added_tokens_decoder[${show(key)}]`, on);
  }
}

/** Calls `on` for each token that has a role, as a string or an object. */
function readRoles(files: SpecialFiles, on: (value: unknown, where: string) => void): void {
  const maps = [
    ["tokenizer_config.json", files.tokenizerConfig],
    ["special_tokens_map.json", files.specialTokensMap],
  ] as const;
  for (const [name, map] of maps) {
    for (const key of NAMED) {
      const value = map?.[key];
      if (value !== undefined && value !== null) on(value, `${name}: ${key}`);
    }
    for (const value of asArray(map?.[UNNAMED] ?? [], `${name}: ${UNNAMED}`))
      on(value, `${name}: ${UNNAMED}`);
  }
}

function readToken(value: unknown, where: string, on: OnStrip): void {
  if (!isObject(value)) {
    on(asString(value, where), STRIP, where);
    return;
  }
  if (asBoolean(value.single_word, false, `${where}.single_word`)) {
    throw new TokenizerError(
      `${where} asks for single_word, which is not supported; LLaMA's and Ziya's tokens do not.`,
    );
  }
  const left = asBoolean(value.lstrip, false, `${where}.lstrip`);
  const right = asBoolean(value.rstrip, false, `${where}.rstrip`);
  on(asString(value.content, `${where}.content`), { left, right }, where);
}

function decoderEntries(files: SpecialFiles): [string, unknown][] {
  const decoder = files.tokenizerConfig?.added_tokens_decoder;
  if (decoder === undefined || decoder === null) return [];
  return Object.entries(asObject(decoder, "tokenizer_config.json: added_tokens_decoder"));
}

/** Added ids must follow the vocabulary's without a gap, or they would be rows of the model that nobody trained. */
function checkIds(ids: ReadonlyMap<string, number>, pieceCount: number): void {
  const added = [...ids.values()].filter((id) => id >= pieceCount).sort((a, b) => a - b);
  if (added.length > MAX_ADDED) {
    throw new TokenizerError(`The checkpoint adds ${added.length} tokens; up to ${MAX_ADDED} are read.`);
  }
  for (const [index, id] of added.entries()) {
    if (id !== pieceCount + index) {
      throw new TokenizerError(
        `Added tokens should have the ids from ${pieceCount} on without a gap; found ${id} where ${pieceCount + index} belongs.`,
      );
    }
  }
}
