import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { ConfigError } from "../../src/errors.ts";
import { CARD_DEFAULTS, parseGenerationConfig } from "../../src/generate/defaults.ts";
import { parseConfig } from "../../src/model/config.ts";

type Values = Readonly<Record<string, unknown>>;

/** Files as text, and what transformers reads in them; `model` is null where it refuses the config. */
interface Case {
  readonly config: string;
  readonly generation: string | null;
  readonly model: Values | null;
  readonly read?: Values;
}

// Made by test/model/make_config_fixtures.py.
const FIXTURE = new URL("../fixtures/config/transformers.json", import.meta.url);
const cases: readonly Case[] = JSON.parse(readFileSync(FIXTURE, "utf8")).cases;

/** The key of a config that transformers honours and this runtime does not, or undefined. */
function unsupportedModel(model: Values): string | undefined {
  if (model.rope_type !== "default" && model.rope_type !== "linear") return "RoPE";
  if (model.partial_rotary_factor !== 1) return "partial_rotary_factor";
  if (model.hidden_act === "gelu") return "hidden_act";
  return ["attention_bias", "mlp_bias"].find((key) => model[key]);
}

const NEUTRAL: Values = { typical_p: 1, no_repeat_ngram_size: 0 };
const REFUSED = [
  ...Object.keys(NEUTRAL),
  "min_new_tokens",
  "forced_eos_token_id",
  "exponential_decay_length_penalty",
  "sequence_bias",
  "top_h",
];

/** What a file says of a beam search. */
function ofBeams({ num_beams, length_penalty }: Values): Values {
  const given = Object.entries({ num_beams, length_penalty });
  return Object.fromEntries(given.filter(([, value]) => (value ?? undefined) !== undefined));
}

/** The keys of a generation_config.json that this runtime refuses. */
function refusedKeys(read: Values): string[] {
  const words = (read.bad_words_ids ?? []) as number[][];
  const refused = REFUSED.filter((key) => (read[key] ?? NEUTRAL[key]) !== NEUTRAL[key]);
  // A beam search does neither.
  if ((read.do_sample || read.renormalize_logits) && (read.num_beams as number) > 1)
    refused.push("num_beams");
  return words.some((word) => word.length > 1) ? [...refused, "bad_words_ids"] : refused;
}

/** An error of this kind, or undefined. */
function failure(run: () => unknown): ConfigError | undefined {
  try {
    run();
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  return undefined;
}

describe("random files, beside what transformers makes of them", () => {
  test("config.json: the same values, or a refusal by name", () => {
    const counts = { read: 0, refused: 0 };
    for (const { config, model } of cases) {
      const unsupported = model ? unsupportedModel(model) : "rope_";
      if (unsupported !== undefined || model === null) {
        expect(failure(() => parseConfig(config))?.message, config).toMatch(/^config\.json/);
        counts.refused++;
        continue;
      }
      expect(parseConfig(config), config).toMatchObject({
        num_key_value_heads: model.num_key_value_heads,
        head_dim: model.head_dim,
        max_position_embeddings: model.max_position_embeddings,
        rms_norm_eps: model.rms_norm_eps,
        tie_word_embeddings: model.tie_word_embeddings,
        rope_theta: model.rope_theta,
        rope_factor: model.rope_type === "linear" ? model.factor : 1,
      });
      counts.read++;
    }
    expect(counts.read).toBeGreaterThan(40);
    expect(counts.refused).toBeGreaterThan(40);
  });

  test("generation_config.json: the same values, or a refusal by name", () => {
    const seen = new Set<string | undefined>();
    let count = 0;
    for (const { config, generation, read } of cases) {
      if (read === undefined) continue;
      const given: Values = JSON.parse(generation ?? "{}");
      const refused = refusedKeys(read);
      const parse = () =>
        generation === null
          ? parseGenerationConfig(config, "config.json")
          : parseGenerationConfig(generation);
      if (refused.length > 0) {
        const named = / has (\w+) /.exec(failure(parse)?.message ?? "")?.[1];
        expect(refused, generation ?? config).toContain(named);
        seen.add(named);
        continue;
      }
      const { defaults, eosIds } = parse();
      const list = (value: unknown) => (Array.isArray(value) ? value : [value]);
      // LlamaConfig ends with 2 where config.json names no id; here the tokenizer's counts then.
      if (generation !== null || /"eos_token_id"/.test(config)) {
        expect(eosIds ?? null, generation ?? config).toEqual(read.eos_token_id && list(read.eos_token_id));
      }
      // Without do_sample in the file, Ziya's card fills in; with it, transformers' defaults do.
      const card = (given.do_sample ?? undefined) === undefined;
      const wanted = (key: "temperature" | "top_k" | "top_p" | "min_p" | "repetition_penalty") =>
        card && (given[key] ?? undefined) === undefined ? CARD_DEFAULTS[key] : (read[key] ?? 0);
      // 20 is what transformers 4 writes for none.
      const limited = given.max_length === 4096 && read.max_new_tokens === null;
      const suppressed = [
        ...((read.suppress_tokens ?? []) as number[]),
        ...((read.bad_words_ids ?? []) as number[][]).flat().filter((id) => !eosIds?.includes(id)),
      ];
      expect(
        { ...defaults, suppress_tokens: [...(defaults.suppress_tokens ?? [])] },
        generation ?? config,
      ).toEqual({
        temperature: given.do_sample === false ? 0 : wanted("temperature"),
        top_k: wanted("top_k"),
        top_p: wanted("top_p"),
        min_p: wanted("min_p"),
        repetition_penalty: wanted("repetition_penalty"),
        max_tokens: read.max_new_tokens ?? (limited ? 1_048_576 : CARD_DEFAULTS.max_tokens),
        ...ofBeams(given),
        ...(limited && { max_length: read.max_length }),
        ...(read.stop_strings !== null && { stop: list(read.stop_strings) }),
        suppress_tokens: suppressed,
      });
      count++;
    }
    expect(count).toBeGreaterThan(40);
    expect([...seen].sort()).toEqual([...REFUSED, "bad_words_ids", "num_beams"].sort());
  });
});
