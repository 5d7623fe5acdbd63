import { ConfigError, type OptionError } from "../errors.ts";
import { parseConfigObject } from "../model/config.ts";
import { checkNumber, type GenerationDefaults, type NumericOption, show } from "./options.ts";

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

/** Keys that would change the answer and that this runtime does not do, with the value that asks for nothing. */
const UNSUPPORTED: Readonly<Record<string, unknown>> = {
  num_beams: 1,
  num_beam_groups: 1,
  penalty_alpha: 0,
  typical_p: 1,
  epsilon_cutoff: 0,
  eta_cutoff: 0,
  no_repeat_ngram_size: 0,
  encoder_repetition_penalty: 1,
  min_length: 0,
  min_new_tokens: 0,
  guidance_scale: 1,
};

export interface GenerationConfig {
  readonly defaults: GenerationDefaults;
  /** Ids that end an answer; undefined when the file names none. */
  readonly eosIds: readonly number[] | undefined;
}

/**
 * Reads a `generation_config.json`. Ziya's own holds only token ids: without `do_sample` in the file, a key it lacks
 * has the value of Ziya's card; with `do_sample`, that of transformers. `do_sample` false is temperature 0.
 * @throws ConfigError
 */
export function parseGenerationConfig(text: string): GenerationConfig {
  const json = parseConfigObject(text, "generation_config.json");
  for (const [key, neutral] of Object.entries(UNSUPPORTED)) {
    const found = json[key] ?? neutral;
    if (found !== neutral) {
      throw new ConfigError(
        `generation_config.json has ${key} ${show(found)}; this runtime does not do that. Take the key out to go on without.`,
      );
    }
  }
  const sample = json.do_sample ?? undefined;
  if (sample !== undefined && typeof sample !== "boolean") {
    throw new ConfigError(`generation_config.json has do_sample ${show(sample)}; wanted true or false.`);
  }
  const missing = sample === undefined ? CARD_DEFAULTS : HF_DEFAULTS;
  const read = (key: string, option: NumericOption & keyof GenerationDefaults): number => {
    const value = json[key] ?? undefined;
    if (value === undefined) return missing[option];
    try {
      return checkNumber(option, value, key);
    } catch (error) {
      throw new ConfigError(`In generation_config.json ${(error as OptionError).message}`, { cause: error });
    }
  };
  const temperature = read("temperature", "temperature");
  return {
    defaults: {
      temperature: sample === false ? 0 : temperature,
      top_k: read("top_k", "top_k"),
      top_p: read("top_p", "top_p"),
      min_p: read("min_p", "min_p"),
      repetition_penalty: read("repetition_penalty", "repetition_penalty"),
      max_tokens: read("max_new_tokens", "max_tokens"),
    },
    eosIds: readEosIds(json.eos_token_id ?? undefined),
  };
}

function readEosIds(value: unknown): readonly number[] | undefined {
  if (value === undefined) return undefined;
  const ids: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (!ids.every((id) => typeof id === "number" && Number.isInteger(id) && id >= 0)) {
    throw new ConfigError(
      `generation_config.json has eos_token_id ${show(value)}; wanted a token id or a list of them.`,
    );
  }
  return ids as readonly number[];
}
