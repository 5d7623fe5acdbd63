import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { folder } from "../../fixtures/vocabulary.ts";
import { loadTokenizer } from "../../src/tokenizer/load-tokenizer.ts";

/** What make_json_fixtures.mjs wrote. */
interface Fixture {
  readonly pieces: readonly string[];
  readonly merges: readonly (readonly [string, string])[];
  readonly cases: readonly {
    readonly changes: Record<string, unknown> & { readonly model: object; readonly post_processor: unknown };
    /** A text, whether special strings count in it, its ids without and with the post-processor's, their decoding. */
    readonly texts: readonly (readonly [string, boolean, readonly number[], readonly number[], string])[];
  }[];
}

const path = join(import.meta.dirname, "..", "fixtures", "tokenizer", "tokenizers.json");
const { pieces, merges, cases } = JSON.parse(readFileSync(path, "utf8")) as Fixture;
const vocab = Object.fromEntries(pieces.map((piece, id) => [piece, id]));

/** Left in files by whoever saved them; transformers sets both anew for each call. */
const LEFTOVERS = {
  truncation: { direction: "Right", max_length: 2, strategy: "LongestFirst", stride: 0 },
  padding: {
    strategy: { Fixed: 64 },
    direction: "Left",
    pad_to_multiple_of: null,
    pad_id: 0,
    pad_type_id: 0,
    pad_token: "<unk>",
  },
};

test("tokenizer.json with random stages, flags and added tokens is read as the tokenizers library reads it", async () => {
  expect(cases.length).toBeGreaterThan(100);
  for (const [index, { changes, texts }] of cases.entries()) {
    const json = {
      ...LEFTOVERS,
      ...changes,
      model: { type: "BPE", byte_fallback: true, ...changes.model, vocab, merges },
    };
    const { tokenizer, addBos, addEos } = await loadTokenizer(folder({ "tokenizer.json": json }));
    for (const [text, special, ids, whole, decoded] of texts) {
      const what = `${JSON.stringify(text)} in case ${index}: ${JSON.stringify(changes)}`;
      const found = tokenizer.encode(text, { special });
      expect(found, what).toEqual(ids);
      expect(tokenizer.decode(ids), what).toBe(decoded);
      // Without a post-processor LLaMA's own BOS counts, which transformers adds.
      if (changes.post_processor === null) expect([addBos, addEos]).toEqual([true, false]);
      else expect([...(addBos ? [1] : []), ...found, ...(addEos ? [2] : [])], what).toEqual(whole);
    }
  }
});
