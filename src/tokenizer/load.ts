import { OptionError, TokenizerError } from "../errors.ts";
import { readTokenizerJson } from "./huggingface.ts";
import { asBoolean, asString, isObject, type JsonObject, parseJsonObject, show } from "./json.ts";
import { readSentencePieceModel } from "./sentencepiece.ts";
import {
  namedToken,
  readReservedTexts,
  readSpecialTokens,
  type SpecialFiles,
  type SpecialToken,
} from "./special.ts";
import { createTokenizer, type Tokenizer } from "./tokenizer.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** The bytes of a file of the checkpoint, or undefined when there is none of that name. */
export type ReadFile = (name: string) => Promise<Uint8Array | undefined>;

export interface LoadTokenizerOptions {
  /**
   * Whether special tokens strip the white space around them where their files say so. Default true, which is how Ziya
   * was trained: "\n" before `<bot>` goes. False is what transformers does since 4.34: it stays, as id 13.
   */
  readonly strip?: boolean;
}

export interface LoadedTokenizer {
  readonly tokenizer: Tokenizer;
  /** `add_bos_token` of tokenizer_config.json: whether a prompt begins with BOS. Default true. */
  readonly addBos: boolean;
  /** The checkpoint's own Jinja template, if it has one. */
  readonly chatTemplate: string | undefined;
}

/**
 * Reads the tokenizer of a checkpoint folder: the vocabulary from `tokenizer.model`, or else from `tokenizer.json`; the
 * special tokens from `added_tokens.json`, `special_tokens_map.json` and `tokenizer_config.json` as far as they exist.
 * Throws TokenizerError for a file that is missing, broken or asks for what is not supported.
 */
export async function loadTokenizer(
  read: ReadFile,
  options: LoadTokenizerOptions = {},
): Promise<LoadedTokenizer> {
  for (const key of Object.keys(options)) {
    if (key !== "strip") throw new OptionError(`loadTokenizer has no option ${show(key)}; it has strip.`);
  }
  const json = async (name: string): Promise<JsonObject | undefined> => {
    const bytes = await read(name);
    return bytes && parseJsonObject(bytes, name);
  };
  const model = await read("tokenizer.model");
  const tokenizerJson = model ? undefined : await json("tokenizer.json");
  if (!model && !tokenizerJson) {
    throw new TokenizerError(
      "The checkpoint has neither tokenizer.model nor tokenizer.json; put one of them beside it.",
    );
  }
  const files: SpecialFiles = {
    tokenizerJson,
    addedTokens: await json("added_tokens.json"),
    specialTokensMap: await json("special_tokens_map.json"),
    tokenizerConfig: await json("tokenizer_config.json"),
  };
  const reserved = readReservedTexts(files);
  const vocabulary = model
    ? readSentencePieceModel(model, "tokenizer.model", reserved)
    : readTokenizerJson(tokenizerJson!, "tokenizer.json", reserved);
  const config = files.tokenizerConfig ?? {};
  if (Object.keys(isObject(config.sp_model_kwargs) ? config.sp_model_kwargs : {}).length > 0) {
    throw new TokenizerError(
      `tokenizer_config.json asks for sp_model_kwargs ${show(config.sp_model_kwargs)}, which are not supported.`,
    );
  }
  const tokens = readSpecialTokens(vocabulary, files);
  const tokenizer = createTokenizer(withNamedIds(vocabulary, files, tokens), tokens, {
    strip: options.strip ?? true,
    prefixEach: asBoolean(config.legacy, true, "tokenizer_config.json: legacy"),
  });
  return {
    tokenizer,
    addBos: asBoolean(config.add_bos_token, true, "tokenizer_config.json: add_bos_token"),
    chatTemplate: readChatTemplate(config.chat_template),
  };
}

/** The vocabulary with BOS and EOS as the JSON files name them. */
function withNamedIds(
  vocabulary: Vocabulary,
  files: SpecialFiles,
  tokens: readonly SpecialToken[],
): Vocabulary {
  const idOf = (text: string | undefined, fallback: number): number =>
    tokens.find((token) => token.text === text)?.id ?? fallback;
  return {
    ...vocabulary,
    bosId: idOf(namedToken(files, "bos_token"), vocabulary.bosId),
    eosId: idOf(namedToken(files, "eos_token"), vocabulary.eosId),
  };
}

/** One template, or of several named ones the one called "default". */
function readChatTemplate(value: unknown): string | undefined {
  const where = "tokenizer_config.json: chat_template";
  if (value === undefined || value === null) return undefined;
  if (!Array.isArray(value)) return asString(value, where);
  const chosen: unknown = value.find((entry) => isObject(entry) && entry.name === "default");
  if (!isObject(chosen)) throw new TokenizerError(`${where} is a list without a template named "default".`);
  return asString(chosen.template, where);
}
