import { isObject, type JsonObject } from "../checkpoint/json.ts";
import { TokenizerError } from "../errors.ts";
import { show } from "../show.ts";
import { asArray, asBoolean, asId, asObject, asString } from "./json.ts";
import { Kind, type Vocabulary } from "./vocabulary.ts";

/** A string that is one token as a whole: special ones where special strings are recognised, others in any text. */
export interface AddedToken {
  readonly id: number;
  readonly text: string;
  /** Whether it means something to the model only: text that a person typed never becomes it, answers never show it. */
  readonly special: boolean;
  /** Whether a file gives it a role (`eos_token`, an additional special token): the slow tokenizer asks for that. */
  readonly role: boolean;
  /** Whether white space before it goes. */
  readonly stripLeft: boolean;
  /** Whether white space after it goes. */
  readonly stripRight: boolean;
  /** Whether it counts only where no letter or digit touches it. */
  readonly singleWord: boolean;
  /** Whether tokenizer.json looks for it, normalised, in the normalised text. */
  readonly normalized: boolean;
}

/** An added token as the files have it: one without an id takes that of its piece, or else the next free one. */
type DeclaredToken = Omit<AddedToken, "id"> & {
  readonly id: number | undefined;
  readonly where: string;
};

/** The JSON files beside a vocabulary that name added tokens; each may be absent. */
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

/** Added tokens that files declare, pieces among them; published checkpoints have a few thousand. */
const MAX_DECLARED = 1 << 17;

/** Length of an added token in UTF-16 units. */
const MAX_LENGTH = 256;

/** In the order in which transformers numbers those that no file gives an id. */
const NAMED = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];
const UNNAMED = ["additional_special_tokens", "extra_special_tokens"];

/** What Ziya's turns begin with: special, whatever the files say, because nobody may type one. */
export const ZIYA_TURNS: readonly string[] = ["<human>", "<bot>"];
const META_TOKENS = ["<s>", "</s>", "<unk>"];

/** All that the files say of one string. */
interface Mention {
  where: string;
  id?: number;
  /** The entry of tokenizer.json's `added_tokens`. */
  json?: JsonObject;
  /** The entry of tokenizer_config.json's `added_tokens_decoder`. */
  decoder?: JsonObject;
  /** As a role or an additional special token: an object with flags, or just the string. */
  role?: JsonObject | string;
}

/**
 * The added tokens that the files declare, as transformers reads them. Ids and flags come from `added_tokens_decoder`
 * of tokenizer_config.json, and only without one from tokenizer.json and added_tokens.json; beside a tokenizer.json that is itself
 * the vocabulary (`isVocabulary`), from that first. A token with a role is special, any other what its flag says.
 *
 * `strip`: whether tokens that are given as plain strings strip the white space on both sides, as the slow
 * LlamaTokenizer of transformers 4.28 to 4.33 did; by default that of a checkpoint with `<human>` and `<bot>`, which is
 * Ziya, trained that way. Throws TokenizerError.
 */
export function declaredTokens(
  files: SpecialFiles,
  isVocabulary: boolean,
  strip: boolean | undefined,
): DeclaredToken[] {
  const mentions = readMentions(files, isVocabulary);
  if (mentions.size > MAX_DECLARED) {
    throw new TokenizerError(
      `The checkpoint declares ${mentions.size} added tokens; up to ${MAX_DECLARED} are read.`,
    );
  }
  const strips = strip ?? ZIYA_TURNS.every((text) => mentions.has(text));
  return [...mentions].map(([text, { where, id, json, decoder, role }]) => {
    if (text === "" || text.length > MAX_LENGTH) {
      throw new TokenizerError(`${where} is ${show(text)}; added tokens have 1 to ${MAX_LENGTH} characters.`);
    }
    const object = isObject(role) ? role : undefined;
    const flags = (isVocabulary ? (json ?? decoder ?? object) : (decoder ?? object ?? json)) ?? {};
    const flag = (key: string) => asBoolean(flags[key], false, `${where}.${key}`);
    const plain = strips && decoder === undefined && object === undefined && !META_TOKENS.includes(text);
    const flagged = json !== undefined || decoder !== undefined;
    const special =
      asBoolean(flags.special, flagged, `${where}.special`) ||
      role !== undefined ||
      ZIYA_TURNS.includes(text);
    const singleWord = flag("single_word");
    if (singleWord && !isVocabulary) {
      throw new TokenizerError(
        `${where} asks for single_word, which is not supported beside tokenizer.model; LLaMA's and Ziya's tokens do not.`,
      );
    }
    return {
      text,
      id,
      where,
      special,
      role: role !== undefined,
      stripLeft: plain || flag("lstrip"),
      stripRight: plain || flag("rstrip"),
      singleWord,
      normalized: asBoolean(flags.normalized, !special, `${where}.normalized`),
    };
  });
}

/**
 * The added tokens of a checkpoint with their ids, and `own`, pieces of the vocabulary that have a role (`<s>`) as long
 * as no file gives it to another. Throws TokenizerError when an id is given twice, names another piece or leaves a gap.
 */
export function resolveTokens(
  vocabulary: Vocabulary,
  declared: readonly DeclaredToken[],
  own: readonly number[],
): AddedToken[] {
  const { pieces } = vocabulary;
  const ids = new Map(pieces.map((piece, id) => [piece, id]));
  const owners = new Map<number, string>();
  for (const { text, id, where } of declared) {
    if (id === undefined) continue;
    const [known, owner] = [ids.get(text), owners.get(id) ?? pieces[id]];
    if ((known ?? id) !== id || (owner ?? text) !== text) {
      const reason =
        owner !== undefined ? `that id is ${show(owner)}` : `${show(text)} already has the id ${known}`;
      throw new TokenizerError(
        `${where} gives ${show(text)} the id ${id}, but ${reason}. Take all files from one release.`,
      );
    }
    ids.set(text, id);
    owners.set(id, text);
  }
  checkIds([...owners.keys()], pieces.length);
  const tokens = new Map<string, AddedToken>();
  for (const id of own) {
    if (id >= 0) tokens.set(pieces[id]!, { ...BARE, id, text: pieces[id]! });
  }
  for (const token of declared) {
    const id = ids.get(token.text) ?? ids.size;
    ids.set(token.text, id);
    const special = token.special || tokens.has(token.text);
    if (special && vocabulary.kinds[id] === Kind.BYTE) {
      throw new TokenizerError(
        `${token.where} makes ${show(token.text)} special, which is a byte of ordinary text.`,
      );
    }
    tokens.set(token.text, { ...token, special, role: token.role || tokens.has(token.text), id });
  }
  if (ids.size > pieces.length + MAX_ADDED) {
    throw new TokenizerError(
      `The checkpoint adds ${ids.size - pieces.length} tokens; up to ${MAX_ADDED} are read.`,
    );
  }
  return [...tokens.values()];
}

const BARE = {
  special: true,
  role: true,
  stripLeft: false,
  stripRight: false,
  singleWord: false,
  normalized: false,
};

/** The text of bos_token, eos_token or unk_token, where a file names it. Early LLaMA folders have "" there. */
export function namedToken(files: SpecialFiles, key: string): string | undefined {
  for (const [name, map] of roleMaps(files)) {
    const text = map?.[key] == null ? "" : roleText(map[key], `${name}: ${key}`);
    if (text !== "") return text;
  }
  return undefined;
}

function roleText(value: unknown, where: string): string {
  return isObject(value) ? asString(value.content, `${where}.content`) : asString(value, where);
}

/** Where roles stand. A file with an `added_tokens_decoder` has them all: the map beside it is that of an older version. */
function roleMaps({ tokenizerConfig, specialTokensMap }: SpecialFiles): [string, JsonObject | undefined][] {
  const maps: [string, JsonObject | undefined][] = [["tokenizer_config.json", tokenizerConfig]];
  if (tokenizerConfig?.added_tokens_decoder == null) maps.push(["special_tokens_map.json", specialTokensMap]);
  return maps;
}

function readMentions(files: SpecialFiles, isVocabulary: boolean): Map<string, Mention> {
  const mentions = new Map<string, Mention>();
  const mention = (text: string, where: string, id?: number): Mention => {
    const found = mentions.get(text) ?? { where };
    mentions.set(text, found);
    if (id !== undefined) found.id ??= id;
    return found;
  };
  const readJson = () => {
    const listed = asArray(files.tokenizerJson?.added_tokens ?? [], "tokenizer.json: added_tokens");
    for (const [index, value] of listed.entries()) {
      const where = `tokenizer.json: added_tokens[${index}]`;
      const token = asObject(value, where);
      mention(asString(token.content, `${where}.content`), where, asId(token.id, `${where}.id`)).json ??=
        token;
    }
  };
  const decoder = files.tokenizerConfig?.added_tokens_decoder ?? undefined;
  if (isVocabulary) readJson();
  if (decoder !== undefined) {
    const entries = asObject(decoder, "tokenizer_config.json: added_tokens_decoder");
    for (const [key, value] of Object.entries(entries)) {
      const where = `tokenizer_config.json: added_tokens_decoder[${show(key)}]`;
      const token = asObject(value, where);
      const id = asId(/^\d{1,9}$/.test(key) ? Number(key) : key, where);
      mention(asString(token.content, `${where}.content`), where, id).decoder ??= token;
    }
  } else {
    if (!isVocabulary) readJson();
    for (const [text, id] of Object.entries(files.addedTokens ?? {})) {
      mention(text, "added_tokens.json", asId(id, `added_tokens.json: ${show(text)}`));
    }
  }
  for (const [value, where] of roles(files)) {
    const text = roleText(value, where);
    if (text !== "") mention(text, where).role ??= value as JsonObject | string;
  }
  return mentions;
}

/** Each token that has a role, in the order of the roles; of two files that fill one role the first counts. */
function* roles(files: SpecialFiles): Generator<readonly [value: unknown, where: string]> {
  for (const key of NAMED) {
    const filled = roleMaps(files).find(([, map]) => map?.[key] != null && map[key] !== "");
    if (filled) yield [filled[1]![key], `${filled[0]}: ${key}`];
  }
  for (const key of UNNAMED) {
    for (const [name, map] of roleMaps(files)) {
      const list = map?.[key] ?? [];
      const where = `${name}: ${key}`;
      for (const value of isObject(list) ? Object.values(list) : asArray(list, where)) yield [value, where];
    }
  }
}

/** Added ids must follow the vocabulary's without a gap, or they would be rows of the model that nobody trained. */
function checkIds(ids: readonly number[], pieceCount: number): void {
  const added = ids.filter((id) => id >= pieceCount).sort((a, b) => a - b);
  const index = added.findIndex((id, position) => id !== pieceCount + position);
  if (index < 0) return;
  throw new TokenizerError(
    `Added tokens should have the ids from ${pieceCount} on without a gap; found ${added[index]} where ${pieceCount + index} belongs.`,
  );
}
