import { isObject, type JsonObject } from "../checkpoint/json.ts";
import { OptionError, TokenizerError } from "../errors.ts";
import { show } from "../show.ts";
import { readPostProcessor, readTokenizerJson } from "./huggingface.ts";
import { asBoolean, asString, parseJsonObject } from "./json.ts";
import { readSentencePieceModel } from "./sentencepiece.ts";
import {
  type AddedToken,
  declaredTokens,
  namedToken,
  resolveTokens,
  type SpecialFiles,
  ZIYA_TURNS,
} from "./special.ts";
import { createTokenizer, type Tokenizer } from "./tokenizer.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** The bytes of a file of the checkpoint, or undefined when there is none of that name. */
export type ReadFile = (name: string) => Promise<Uint8Array | undefined>;

export interface LoadTokenizerOptions {
  /**
   * Whether added tokens whose files give no flags strip the white space around them. Default what the checkpoint was
   * trained with: true for Ziya (its files name `<human>` and `<bot>`), where "\n" before `<bot>` goes; false for all
   * others, as transformers does since 4.34. Flags that the files do give (`lstrip`, `rstrip`) count either way.
   */
  readonly strip?: boolean;
}

export interface LoadedTokenizer {
  readonly tokenizer: Tokenizer;
  /**
   * Ids below this need a row of the model: those of the pieces, BOS, EOS and Ziya's turns. Other added tokens may have
   * higher ids (a `<pad>` that nothing writes).
   */
  readonly rowsNeeded: number;
  /** `add_bos_token` of tokenizer_config.json: whether a prompt begins with BOS. Default true. */
  readonly addBos: boolean;
  /** `add_eos_token` likewise: whether a text to be continued ends with EOS. Default false. */
  readonly addEos: boolean;
  /** The checkpoint's own Jinja template, if it has one. */
  readonly chatTemplate: string | undefined;
}

const CONFIG = "tokenizer_config.json";

/** Classes of transformers that read a folder as it is read here; with `Fast` behind them too. */
const CLASSES = [
  "LlamaTokenizer",
  "LLaMATokenizer",
  "CodeLlamaTokenizer",
  "PreTrainedTokenizer",
  "TokenizersBackend",
];

/**
 * Reads the tokenizer of a checkpoint folder: the vocabulary from `tokenizer.model`, or else from `tokenizer.json`; the
 * added tokens from either and from `added_tokens.json`, `special_tokens_map.json` and `tokenizer_config.json`, as far
 * as they exist. docs/checkpoint-keys.md has every key. Throws TokenizerError for a file that is missing, broken or
 * asks for what is not supported.
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
  const files: SpecialFiles = {
    tokenizerJson: await json("tokenizer.json"),
    addedTokens: await json("added_tokens.json"),
    specialTokensMap: await json("special_tokens_map.json"),
    tokenizerConfig: await json(CONFIG),
  };
  const { tokenizerJson, tokenizerConfig: config = {} } = files;
  if (!model && !tokenizerJson) {
    throw new TokenizerError(
      "The checkpoint has neither tokenizer.model nor tokenizer.json; put one of them beside it.",
    );
  }
  refuseUnsupported(config, model !== undefined);
  const declared = declaredTokens(files, !model, options.strip);
  const special = new Set(declared.filter((token) => token.special).map((token) => token.text));
  const found = model
    ? readSentencePieceModel(model, "tokenizer.model", special)
    : readTokenizerJson(tokenizerJson!, "tokenizer.json", special);
  const tokens = resolveTokens(found, declared, [
    found.unknownId,
    namedToken(files, "bos_token") === undefined ? found.bosId : -1,
    namedToken(files, "eos_token") === undefined ? found.eosId : -1,
  ]);
  const vocabulary = withNamedIds(withRules(found, config), files, tokens);
  const post = model ? undefined : readPostProcessor(tokenizerJson!, "tokenizer.json");
  for (const [text, id] of [[post?.bos, vocabulary.bosId] as const, [post?.eos, vocabulary.eosId] as const]) {
    if (text === undefined || tokens.find((token) => token.id === id)?.text === text) continue;
    throw new TokenizerError(
      `tokenizer.json: post_processor puts ${show(text)} around a text; only BOS before it and EOS after it are supported.`,
    );
  }
  // Python takes null for false here.
  const adds = (key: string, fallback: boolean) =>
    config[key] === null ? false : asBoolean(config[key], fallback, `${CONFIG}: ${key}`);
  const turns = tokens.filter((token) => ZIYA_TURNS.includes(token.text)).map((token) => token.id);
  const needed = [vocabulary.bosId, vocabulary.eosId, ...turns];
  return {
    tokenizer: createTokenizer(vocabulary, tokens),
    rowsNeeded: Math.max(vocabulary.pieces.length, ...needed.map((id) => id + 1)),
    addBos: adds("add_bos_token", !post || post.bos !== undefined),
    addEos: adds("add_eos_token", post?.eos !== undefined),
    chatTemplate: readChatTemplate(config.chat_template),
  };
}

/** Refuses what would change the ids or the text. */
function refuseUnsupported(config: JsonObject, hasModel: boolean): void {
  const kind = config.tokenizer_class ?? CLASSES[0];
  if (typeof kind !== "string" || !CLASSES.includes(kind.replace(/Fast$/, ""))) {
    throw new TokenizerError(
      `${CONFIG}: tokenizer_class is ${show(kind)}, which may read the same files in another way; supported are ${CLASSES.join(", ")}. If it is LLaMA's by another name, write "LlamaTokenizer" there.`,
    );
  }
  for (const key of [
    "split_special_tokens",
    "clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output",
  ]) {
    if (asBoolean(config[key], false, `${CONFIG}: ${key}`)) {
      throw new TokenizerError(`${CONFIG}: ${key} is true, which is not supported; set it to false.`);
    }
  }
  const { sp_model_kwargs: kwargs } = config;
  if (hasModel && isObject(kwargs) && Object.keys(kwargs).length > 0) {
    throw new TokenizerError(`${CONFIG} asks for sp_model_kwargs ${show(kwargs)}, which are not supported.`);
  }
}

/** The vocabulary with its text rules as tokenizer_config.json would have them. */
function withRules(vocabulary: Vocabulary, config: JsonObject): Vocabulary {
  const where = `${CONFIG}: add_prefix_space`;
  const { by, prefix } = vocabulary.rules;
  if (by === "slow") {
    // Without legacy, transformers turns SentencePiece's own prefix off and puts one itself.
    if (asBoolean(config.legacy, true, `${CONFIG}: legacy`)) return vocabulary;
    const prefixes = asBoolean(config.add_prefix_space, true, where);
    return { ...vocabulary, rules: { by, prefix: prefixes ? "first" : "never" }, dropFirstSpace: prefixes };
  }
  const prefixes = prefix !== "never";
  if (asBoolean(config.add_prefix_space, prefixes, where) === prefixes) return vocabulary;
  throw new TokenizerError(
    `${where} is ${!prefixes}, but tokenizer.json puts ${prefixes ? "a" : "no"} space in front of a text. Make both say the same.`,
  );
}

/** The vocabulary with BOS and EOS as the JSON files name them. */
function withNamedIds(
  vocabulary: Vocabulary,
  files: SpecialFiles,
  tokens: readonly AddedToken[],
): Vocabulary {
  const idOf = (key: string, fallback: number): number => {
    const text = namedToken(files, key);
    const id = text === undefined ? fallback : tokens.find((token) => token.text === text)!.id;
    if (id >= 0) return id;
    throw new TokenizerError(
      `No file names the ${key}, and ${vocabulary.name} has not LLaMA's. Write it into ${CONFIG}.`,
    );
  };
  return {
    ...vocabulary,
    bosId: idOf("bos_token", vocabulary.bosId),
    eosId: idOf("eos_token", vocabulary.eosId),
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
