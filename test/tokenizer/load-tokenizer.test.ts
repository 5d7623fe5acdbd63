import { describe, expect, test } from "vitest";
import { folder, fullTokenizerJson } from "../../fixtures/vocabulary.ts";
import { OptionError, TokenizerError } from "../../src/errors.ts";
import { loadTokenizer } from "../../src/tokenizer/load-tokenizer.ts";
import { fixtureModel } from "./fixtures.ts";

const model = { "tokenizer.model": fixtureModel("plain") };
const withConfig = (config: unknown) => loadTokenizer(folder({ ...model, "tokenizer_config.json": config }));

describe("loadTokenizer", () => {
  test("needs a vocabulary and says which files it looked for", async () => {
    await expect(loadTokenizer(folder({}))).rejects.toThrow(TokenizerError);
    await expect(loadTokenizer(folder({}))).rejects.toThrow("neither tokenizer.model nor tokenizer.json");
  });

  test("takes tokenizer.model before tokenizer.json", async () => {
    const { tokenizer } = await loadTokenizer(folder({ ...model, "tokenizer.json": { broken: true } }));
    expect(tokenizer.size).toBe(600);
  });

  test("refuses an option that it has not", async () => {
    await expect(loadTokenizer(folder(model), { legacy: true } as object)).rejects.toThrow(OptionError);
  });

  test("says whether prompts begin with BOS, and which ids BOS and EOS are", async () => {
    expect((await loadTokenizer(folder(model))).addBos).toBe(true);
    const { addBos, tokenizer } = await withConfig({
      add_bos_token: false,
      bos_token: "</s>",
      eos_token: { content: "<s>" },
    });
    expect([addBos, tokenizer.bosId, tokenizer.eosId]).toEqual([false, 2, 1]);
    await expect(withConfig({ add_bos_token: "no" })).rejects.toThrow(
      "add_bos_token should be true or false",
    );
  });

  test.each<[Record<string, unknown>, RegExp]>([
    [{ tokenizer_class: "T5Tokenizer" }, /tokenizer_class is "T5Tokenizer"/],
    [{ tokenizer_class: 7 }, /tokenizer_class is 7/],
    [{ split_special_tokens: true }, /split_special_tokens is true/],
    [
      { clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output: true },
      /corrupt_output is true/,
    ],
    [{ add_prefix_space: "no", legacy: false }, /add_prefix_space should be true or false/],
    [{ legacy: 1 }, /legacy should be true or false/],
    [{ additional_special_tokens: "<a>" }, /additional_special_tokens should be an array/],
    [{ eos_token: { content: 3 } }, /eos_token.content should be a string/],
  ])("refuses %j by name", async (config, message) => {
    await expect(withConfig(config)).rejects.toThrow(TokenizerError);
    await expect(withConfig(config)).rejects.toThrow(message);
  });

  test("refuses a tokenizer.json and an add_prefix_space that contradict each other, and no BOS at all", async () => {
    const json = fullTokenizerJson();
    const files = { "tokenizer.json": json, "tokenizer_config.json": { add_prefix_space: false } };
    await expect(loadTokenizer(folder(files))).rejects.toThrow(
      /add_prefix_space is false, but tokenizer.json puts a/,
    );
    const model = json.model as { vocab: Record<string, number> };
    const { "<s>": bos, ...rest } = model.vocab;
    const nameless = {
      ...json,
      added_tokens: [],
      post_processor: null,
      model: { ...model, vocab: { ...rest, BOS: bos } },
    };
    await expect(loadTokenizer(folder({ "tokenizer.json": nameless }))).rejects.toThrow(
      /No file names the bos_token/,
    );
    const named = { "tokenizer.json": nameless, "tokenizer_config.json": { bos_token: "BOS" } };
    expect((await loadTokenizer(folder(named))).tokenizer.bosId).toBe(bos);
  });

  test("hands out the chat template", async () => {
    const template = "{{ messages }}";
    expect((await loadTokenizer(folder(model))).chatTemplate).toBeUndefined();
    expect((await withConfig({ chat_template: template })).chatTemplate).toBe(template);
    const named = [
      { name: "tools", template: "no" },
      { name: "default", template },
    ];
    expect((await withConfig({ chat_template: named })).chatTemplate).toBe(template);
    await expect(withConfig({ chat_template: [named[0]] })).rejects.toThrow('named "default"');
    await expect(withConfig({ chat_template: 7 })).rejects.toThrow("chat_template should be a string");
  });
});
