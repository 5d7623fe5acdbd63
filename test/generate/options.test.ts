import { describe, expect, test } from "vitest";
import { main } from "../../node/commands/main.ts";
import { ConfigError, OptionError } from "../../src/errors.ts";
import { CARD_DEFAULTS, parseGenerationConfig } from "../../src/generate/defaults.ts";
import type { Option } from "../../src/generate/option.ts";
import { GENERATION_OPTIONS, type GenerationOptions, resolveOptions } from "../../src/generate/options.ts";
import { fakeIo } from "../support/io.ts";

const resolve = (options: unknown) => resolveOptions(options as GenerationOptions, CARD_DEFAULTS);

describe("resolveOptions", () => {
  test("fills in Ziya's card settings and draws a seed", () => {
    const { seed, ...rest } = resolve({});
    expect(rest).toEqual({
      temperature: 1,
      prompt_lookup_num_tokens: 0,
      top_k: 50,
      top_p: 0.85,
      min_p: 0,
      repetition_penalty: 1,
      num_beams: 1,
      length_penalty: 1,
      early_stopping: false,
      num_return_sequences: 1,
      max_tokens: 1024,
      max_length: Infinity,
      stop: [],
      overflow: "error",
      signal: undefined,
    });
    expect(Number.isInteger(seed) && seed >= 0).toBe(true);
    const seeds = new Set(Array.from({ length: 8 }, () => resolve({}).seed));
    expect(seeds.size).toBeGreaterThan(1);
  });

  test("takes the ends of every range and an undefined value as absent", () => {
    const ends = { temperature: 0, top_k: 0, top_p: 1, min_p: 1, seed: 2 ** 53 - 1, max_tokens: 1 };
    expect(resolve(ends)).toMatchObject(ends);
    expect(resolve({ temperature: undefined, stop: undefined })).toMatchObject({ temperature: 1, stop: [] });
    expect(resolve({ stop: "a" }).stop).toEqual(["a"]);
    // What a checkpoint sets counts where the caller says nothing.
    const defaults = { ...CARD_DEFAULTS, stop: ["#"], max_length: 30 };
    expect(resolveOptions({}, defaults)).toMatchObject({ stop: ["#"], max_length: 30 });
    const given = resolveOptions({ stop: [], max_tokens: 50 }, defaults);
    expect(given).toMatchObject({ stop: [], max_length: Infinity, max_tokens: 50 });
    expect(resolve({ stop: ["a", "吗😀"] }).stop).toEqual(["a", "吗😀"]);
  });

  test("has a beam search take the most likely, by the checkpoint's settings where the caller has none", () => {
    expect(resolve({ num_beams: 3 })).toMatchObject({ num_beams: 3, temperature: 0, length_penalty: 1 });
    expect(resolve({ num_beams: 3, temperature: 0 }).temperature).toBe(0);
    const beams = { num_beams: 4, num_return_sequences: 3, length_penalty: 2, early_stopping: true };
    const defaults = { ...CARD_DEFAULTS, ...beams };
    expect(resolveOptions({}, defaults)).toMatchObject({ ...beams, temperature: 0 });
    const own = { num_beams: 2, early_stopping: false };
    expect(resolveOptions(own, defaults)).toMatchObject({ ...beams, ...own, num_return_sequences: 2 });
    const none = { num_beams: 1, temperature: 0.5, length_penalty: 1, early_stopping: false };
    expect(resolveOptions(none, defaults)).toMatchObject({ ...none, num_return_sequences: 1 });
  });

  test.each([
    [{ top_k: 0.5 }, "top_k is 0.5; wanted an integer from 0 to 1048576."],
    [{ top_k: -1 }, "top_k is -1; wanted an integer"],
    [{ temperature: -0.1 }, "temperature is -0.1; wanted a number from 0 to 100."],
    [{ temperature: Number.NaN }, "temperature is NaN; wanted a number"],
    [{ temperature: "1" }, 'temperature is "1"; wanted a number'],
    [{ temperature: null }, "temperature is null; wanted a number"],
    [{ top_p: 1.01 }, "top_p is 1.01"],
    [{ min_p: -1 }, "min_p is -1"],
    [{ repetition_penalty: 0 }, "repetition_penalty is 0"],
    [{ seed: 2 ** 53 }, "seed is 9007199254740992"],
    [{ max_tokens: 0 }, "max_tokens is 0; wanted an integer from 1"],
    [{ max_tokens: Infinity }, "max_tokens is Infinity"],
    [{ stop: "" }, 'stop has ""'],
    [{ stop: [1] }, "stop has 1; wanted strings"],
    [{ stop: Array(65).fill("a") }, "stop has 65 strings"],
    [{ stop: "a\ud83d" }, "half a character"],
    [{ num_beams: 17 }, "num_beams is 17; wanted an integer from 1 to 16."],
    [
      { num_beams: 2, temperature: 1 },
      "temperature is 1 beside num_beams 2, and a beam search neither draws nor drafts;",
    ],
    [{ num_beams: 2, prompt_lookup_num_tokens: 3 }, "prompt_lookup_num_tokens is 3 beside num_beams 2,"],
    [{ num_return_sequences: 2 }, "num_return_sequences is 2; wanted at most num_beams, which is 1."],
    [{ length_penalty: 2 }, "length_penalty is 2 beside num_beams 1, and only a beam search has several"],
    [{ early_stopping: true, num_beams: 1 }, "early_stopping is true beside num_beams 1,"],
    [{ early_stopping: "never" }, 'early_stopping is "never"; wanted true or false.'],
    [{ overflow: "drop" }, 'overflow is "drop"; wanted error, truncate.'],
    [{ signal: {} }, "signal is {}; wanted an AbortSignal."],
    [{ signal: null }, "signal is null; wanted an AbortSignal."],
    [{ signal: { aborted: false } }, 'signal is {"aborted":false}; wanted an AbortSignal.'],
    [{ topK: 4 }, 'There is no generation option "topK"; there are temperature, top_k,'],
    [null, "The generation options are null"],
    ["fast", 'The generation options are "fast"'],
  ])("refuses %j by name", (options, message) => {
    expect(() => resolve(options)).toThrow(OptionError);
    expect(() => resolve(options)).toThrow(message);
  });
});

describe("every number of the table", () => {
  test.each(Object.entries<Option>(GENERATION_OPTIONS).filter(([, { kind }]) => kind === "number"))(
    "has the same bounds for the library, the files and the command line: %s",
    async (name, option) => {
      const { most, key, flag } = option as Option & { most: number };
      const [above, within] = [most * 2, 1];
      expect(resolve({ [name]: within })).toHaveProperty(name, within);
      expect(() => resolve({ [name]: above })).toThrow(`${name} is ${above}; wanted`);
      expect(flag?.[1]).toMatch(/\.$/);
      const io = fakeIo();
      await main(["chat", `--${name.replaceAll("_", "-")}`, `${above}`, "hi"], io);
      expect(io.err()).toContain(`${name} is ${above}; wanted`);
      if (key === undefined) return;
      const parse = (value: number) => parseGenerationConfig(JSON.stringify({ [key]: value }));
      expect(parse(within).defaults).toHaveProperty(name, within);
      expect(() => parse(above)).toThrow(`In generation_config.json ${key} is ${above}; wanted`);
    },
  );
});

describe("parseGenerationConfig", () => {
  const parse = (json: unknown) => parseGenerationConfig(JSON.stringify(json));

  test("gives Ziya's own file, which holds only ids, the card's settings", () => {
    const ziya = {
      _from_model_config: true,
      bos_token_id: 1,
      eos_token_id: 2,
      pad_token_id: 0,
      transformers_version: "4.29.0.dev0",
    };
    expect(parse(ziya)).toEqual({ defaults: CARD_DEFAULTS, eosIds: [2] });
  });

  test("reads Hugging Face's names, with transformers' defaults beside do_sample", () => {
    const { defaults } = parse({ do_sample: true, temperature: 0.7, max_new_tokens: 99, min_p: null });
    expect(defaults).toEqual({ ...CARD_DEFAULTS, temperature: 0.7, top_p: 1, max_tokens: 99 });
    expect(parse({ do_sample: false, temperature: 0.7 }).defaults.temperature).toBe(0);
    expect(parse({ top_k: 0, repetition_penalty: 1.1 }).defaults).toMatchObject({
      top_k: 0,
      top_p: 0.85,
      repetition_penalty: 1.1,
    });
    expect(parse({ eos_token_id: [2, 7] }).eosIds).toEqual([2, 7]);
    expect(parse({}).eosIds).toBeUndefined();
    expect(parse({ num_beam_groups: 1, typical_p: 1, min_length: null }).defaults).toEqual(CARD_DEFAULTS);
  });

  test("reads how a beam search goes, and leaves out what the file does", () => {
    const beams = { num_beams: 4, num_return_sequences: 2, length_penalty: 0.6, early_stopping: true };
    expect(parse(beams).defaults).toEqual({ ...CARD_DEFAULTS, ...beams });
    expect(parse({ do_sample: false, num_beams: 4 }).defaults).toMatchObject({
      num_beams: 4,
      temperature: 0,
    });
    expect(parse({ do_sample: true, num_beams: 1 }).defaults).not.toHaveProperty("length_penalty");
  });

  test.each([
    [{ temperature: "hot" }, 'In generation_config.json temperature is "hot"'],
    [{ max_new_tokens: 0 }, "max_new_tokens is 0; wanted an integer from 1"],
    [{ do_sample: 1 }, "do_sample 1; wanted true or false"],
    [{ num_beams: 4, do_sample: true }, "has num_beams 4 beside do_sample true; a beam search"],
    [{ num_beams: 4, renormalize_logits: true }, "has num_beams 4 beside renormalize_logits true;"],
    [{ num_beam_groups: 2 }, "num_beam_groups 2; this runtime does not do that"],
    [{ early_stopping: "never" }, 'In generation_config.json early_stopping is "never"'],
    [{ eos_token_id: "2" }, 'eos_token_id "2"'],
    [{ eos_token_id: -1 }, "eos_token_id -1; wanted a token id or a list"],
    [{ suppress_tokens: [1.5] }, "suppress_tokens [1.5]"],
    [{ bad_words_ids: [3] }, "bad_words_ids [3]; wanted lists of one token id each"],
    [{ stop_strings: ["a", ""] }, 'In generation_config.json stop_strings has ""'],
    [{ max_length: 0 }, "max_length is 0; wanted an integer from 1"],
    [{ forced_bos_token_id: 1 }, "has forced_bos_token_id 1; this runtime does not do that"],
    [{ begin_suppress_tokens: [1] }, "has begin_suppress_tokens [1]"],
    [{ num_return_sequences: 2 }, "has num_return_sequences 2 beside num_beams 1;"],
    [{ max_time: 1.5 }, "has max_time 1.5"],
    [{ token_healing: true }, "has token_healing true"],
    [{ watermarking_config: { bias: 2 } }, 'has watermarking_config {"bias":2}'],
    [{ encoder_no_repeat_ngram_size: 2 }, "has encoder_no_repeat_ngram_size 2"],
    [{ force_words_ids: [[1]] }, "has force_words_ids [[1]]"],
    [{ dola_layers: "low" }, 'has dola_layers "low"'],
    [[1], "is JSON but not an object"],
  ])("refuses %j", (json, message) => {
    expect(() => parse(json)).toThrow(ConfigError);
    expect(() => parse(json)).toThrow(message);
  });

  test("refuses what is not JSON", () => {
    expect(() => parseGenerationConfig("{")).toThrow("generation_config.json is not JSON");
  });
});
