import type { JsonObject } from "../checkpoint/json.ts";
import { ConfigError, type OptionError } from "../errors.ts";
import { parseConfigObject } from "../model/config.ts";
import { show } from "../show.ts";
import { checkOption, type Option } from "./option.ts";
import {
  BEAM_OPTIONS,
  type BeamOptions,
  GENERATION_OPTIONS,
  type GenerationDefaults,
  SAMPLING_OPTIONS,
  type SamplingOption,
} from "./options.ts";

/**
 * The settings on Ziya-LLaMA-13B-v1's model card. It names no top_k, so that Hugging Face's default of 50 was in
 * force for everybody who ran the card's code.
 */
export const CARD_DEFAULTS: GenerationDefaults = {
  temperature: 1,
  top_k: 50,
  top_p: 0.85,
  min_p: 0,
  repetition_penalty: 1,
  max_tokens: 1024,
};

/** What `generate()` of transformers takes for a key that a generation_config.json with do_sample leaves out. */
const HF_DEFAULTS: GenerationDefaults = { ...CARD_DEFAULTS, top_p: 1 };

/** What transformers 4 writes as `max_length` where nobody set one, and reads as that. */
const UNSET_LENGTH = 20;

/** Keys that would change the answer and that this runtime does not do, with the values that ask for nothing. */
const UNSUPPORTED: Readonly<Record<string, readonly unknown[]>> = {
  num_beam_groups: [1],
  penalty_alpha: [0],
  typical_p: [1],
  epsilon_cutoff: [0],
  eta_cutoff: [0],
  top_h: [],
  no_repeat_ngram_size: [0],
  encoder_no_repeat_ngram_size: [0],
  encoder_repetition_penalty: [1],
  min_length: [0],
  min_new_tokens: [0],
  guidance_scale: [1],
  max_time: [],
  forced_bos_token_id: [],
  forced_eos_token_id: [],
  begin_suppress_tokens: [],
  sequence_bias: [],
  exponential_decay_length_penalty: [],
  constraints: [],
  force_words_ids: [],
  dola_layers: [],
  watermarking_config: [],
  token_healing: [false],
};

export interface GenerationConfig {
  readonly defaults: GenerationDefaults;
  /** Ids that end an answer; undefined when the file names none. */
  readonly eosIds: readonly number[] | undefined;
}

/**
 * Reads a `generation_config.json`; where a checkpoint has none, its `config.json`, whose keys of the same names then
 * count. Ziya's own holds only token ids: without `do_sample` in the file, a key it lacks has the value of Ziya's card;
 * with `do_sample`, that of transformers. `do_sample` false is temperature 0. docs/checkpoint-keys.md has all keys.
 * @param name The file's, for messages.
 * @throws ConfigError
 */
export function parseGenerationConfig(text: string, name = "generation_config.json"): GenerationConfig {
  const json = parseConfigObject(text, name);
  for (const [key, neutral] of Object.entries(UNSUPPORTED)) {
    const found = json[key] ?? undefined;
    if (found !== undefined && !neutral.includes(found)) {
      throw new ConfigError(
        `${name} has ${key} ${show(found)}; this runtime does not do that. Take the key out to go on without.`,
      );
    }
  }
  const sample = json.do_sample ?? undefined;
  if (sample !== undefined && typeof sample !== "boolean") {
    throw new ConfigError(`${name} has do_sample ${show(sample)}; wanted true or false.`);
  }
  const missing = sample === undefined ? CARD_DEFAULTS : HF_DEFAULTS;
  /** The value of an option, or undefined where the file has none. */
  const read = <Value = number>(option: Option & { readonly key: string }, key = option.key) => {
    const value = json[key] ?? undefined;
    try {
      if (value !== undefined) checkOption(key, value, option);
    } catch (error) {
      throw new ConfigError(`In ${name} ${(error as OptionError).message}`, { cause: error });
    }
    return value as Value | undefined;
  };
  const sampling = Object.fromEntries(
    SAMPLING_OPTIONS.map((option) => [option, read(GENERATION_OPTIONS[option]) ?? missing[option]]),
  ) as Record<SamplingOption, number>;
  const beams = Object.fromEntries(
    BEAM_OPTIONS.map((option) => [option, read<number | boolean>(GENERATION_OPTIONS[option])]).filter(
      ([, value]) => value !== undefined,
    ),
  ) as Partial<BeamOptions>;
  const { num_beams = 1, num_return_sequences = 1 } = beams;
  const wrong = ["do_sample", "renormalize_logits"].find((key) => json[key] === true);
  if (num_beams > 1 && wrong !== undefined) {
    throw new ConfigError(
      `${name} has num_beams ${num_beams} beside ${wrong} true; a beam search here does not do that. Take one of the keys out.`,
    );
  }
  if (num_return_sequences > num_beams) {
    throw new ConfigError(
      `${name} has num_return_sequences ${num_return_sequences} beside num_beams ${num_beams}; wanted at most as many.`,
    );
  }
  const maxNewTokens = read(GENERATION_OPTIONS.max_tokens);
  const length = read(GENERATION_OPTIONS.max_tokens, "max_length");
  const maxLength = maxNewTokens === undefined && length !== UNSET_LENGTH ? length : undefined;
  const stop = read<string | string[]>(GENERATION_OPTIONS.stop);
  const eosIds = readIds(json, "eos_token_id", name);
  const suppressed = new Set([
    ...(readIds(json, "suppress_tokens", name) ?? []),
    ...badWords(json, name, eosIds),
  ]);
  return {
    defaults: {
      ...sampling,
      ...(sample === false && { temperature: 0 }),
      ...beams,
      max_tokens:
        maxNewTokens ?? (maxLength === undefined ? missing.max_tokens : GENERATION_OPTIONS.max_tokens.most),
      ...(maxLength !== undefined && { max_length: maxLength }),
      ...(stop !== undefined && { stop: typeof stop === "string" ? [stop] : stop }),
      ...(suppressed.size > 0 && { suppress_tokens: suppressed }),
    },
    eosIds,
  };
}

/** A token id or a list of them; undefined where the file has none. */
function readIds(json: JsonObject, key: string, name: string): readonly number[] | undefined {
  const value = json[key] ?? undefined;
  if (value === undefined) return undefined;
  const ids: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (!ids.every(isId)) {
    throw new ConfigError(`${name} has ${key} ${show(value)}; wanted a token id or a list of them.`);
  }
  return ids;
}

/** The words of one token that an answer may not have: all but those that end it, as in transformers. */
function badWords(json: JsonObject, name: string, eosIds: readonly number[] = []): number[] {
  const value = json.bad_words_ids ?? [];
  const isWord = (word: unknown): word is [number] =>
    Array.isArray(word) && word.length === 1 && isId(word[0]);
  if (!Array.isArray(value) || !value.every(isWord)) {
    throw new ConfigError(
      `${name} has bad_words_ids ${show(value)}; wanted lists of one token id each: this runtime does not do words of several tokens. Take the key out to go on without.`,
    );
  }
  return value.map(([id]) => id).filter((id) => !eosIds.includes(id));
}

function isId(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0;
}
