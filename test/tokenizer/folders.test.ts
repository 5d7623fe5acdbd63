import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { folder } from "../../fixtures/vocabulary.ts";
import { loadTokenizer } from "../../src/tokenizer/load-tokenizer.ts";
import { fixtureModel } from "./fixtures.ts";

/** Files beside tokenizer.model, and what transformers' slow LlamaTokenizer makes of them: make_folder_fixtures.py. */
interface Case {
  readonly files: Readonly<Record<string, unknown>>;
  readonly eos: number;
  readonly specials: readonly string[];
  /** A text, whether special strings count in it, its ids without and with BOS and EOS. */
  readonly texts: readonly (readonly [string, boolean, readonly number[], readonly number[]])[];
}

const path = join(import.meta.dirname, "..", "fixtures", "tokenizer", "folders.json");
const cases = JSON.parse(readFileSync(path, "utf8")) as readonly Case[];

test("random files beside tokenizer.model are read as transformers' slow tokenizer reads them", async () => {
  expect(cases.length).toBeGreaterThan(100);
  for (const [index, { files, eos, specials, texts }] of cases.entries()) {
    const read = folder({ "tokenizer.model": fixtureModel("plain"), ...files });
    const { tokenizer, addBos, addEos } = await loadTokenizer(read);
    const where = `in case ${index}: ${JSON.stringify(files)}`;
    expect(tokenizer.eosId, where).toBe(eos);
    // And those that a file only flags as special, which transformers' fast tokenizer hides too.
    expect(tokenizer.specials, where).toEqual(expect.arrayContaining([...specials]));
    for (const [text, special, ids, whole] of texts) {
      const found = tokenizer.encode(text, { special });
      expect(found, `${JSON.stringify(text)} ${where}`).toEqual(ids);
      expect([...(addBos ? [1] : []), ...found, ...(addEos ? [eos] : [])], where).toEqual(whole);
    }
  }
});
