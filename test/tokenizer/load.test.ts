import { describe, expect, test } from "vitest";
import { folder } from "../../bench/vocabulary.ts";
import { OptionError, TokenizerError } from "../../src/errors.ts";
import { loadTokenizer } from "../../src/tokenizer/load.ts";
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
