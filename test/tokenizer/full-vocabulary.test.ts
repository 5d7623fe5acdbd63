import llama from "llama-tokenizer-js";
import { beforeAll, describe, expect, test } from "vitest";
import { folder, fullModel, fullTokenizerJson, ziyaJson } from "../../fixtures/vocabulary.ts";
import { loadTokenizer } from "../../src/tokenizer/load-tokenizer.ts";
import type { Tokenizer } from "../../src/tokenizer/tokenizer.ts";
import { randomStream } from "../support/random.ts";
import { RandomText } from "./random-text.ts";

const RANDOM_TEXTS = 3_000;

/** Ziya's template around a question (its card: '<human>:' + query.strip() + '\n<bot>:'). */
const template = (query: string) => [
  { text: "<human>:", special: true },
  { text: query, special: false },
  { text: "\n<bot>:", special: true },
];

describe.each([
  ["tokenizer.model", () => ({ "tokenizer.model": fullModel() })],
  ["tokenizer.json", () => ({ "tokenizer.json": fullTokenizerJson() })],
])("LLaMA's 32,000 pieces and Ziya's 7,410 from %s", (_, vocabulary) => {
  let tokenizer: Tokenizer;
  let kept: Tokenizer;
  beforeAll(async () => {
    const read = folder({ ...vocabulary(), ...ziyaJson });
    tokenizer = (await loadTokenizer(read)).tokenizer;
    kept = (await loadTokenizer(read, { strip: false })).tokenizer;
  });

  test("39,410 ids", () => {
    expect(tokenizer.size).toBe(39_410);
    expect([tokenizer.bosId, tokenizer.eosId]).toEqual([1, 2]);
    expect(tokenizer.specials.map((text) => tokenizer.specialId(text))).toEqual([39408, 0, 39409, 2, 1]);
  });

  test('the ids that Ziya\'s makers published for their template around "in:"', () => {
    const ids = [tokenizer.bosId, ...tokenizer.encodeSpans(template("in:"))];
    expect(ids).toEqual([1, 39408, 584, 262, 29901, 39409, 584]);
    expect(tokenizer.encode("<human>:in:\n<bot>:", { bos: true, special: true })).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe(":in: :");
    expect(tokenizer.decode(ids, { special: true })).toBe("<s><human>:in:<bot>:");
  });

  test("with strip: false the line break stays, as id 13", () => {
    expect(kept.encodeSpans(template("in:"))).toEqual([39408, 584, 262, 29901, 13, 39409, 584]);
  });

  test("ids that ziya.md and others published", () => {
    expect(tokenizer.encode("\n")).toEqual([29871, 13]);
    expect(tokenizer.encode("🦙")).toEqual([29871, 243, 162, 169, 156]);
    expect(tokenizer.encode("<human>")).toEqual([529, 26029, 29958]);
    expect(tokenizer.encode("</s>")).toEqual([1533, 29879, 29958]);
  });

  test("an added character is one id, one outside the vocabulary its bytes", () => {
    const [, id] = tokenizer.encode("丂");
    expect(id).toBe(32_000);
    expect(tokenizer.encode("㐀")).toEqual([29871, 3 + 0xe3, 3 + 0x90, 3 + 0x80]);
  });

  test("the test cases of llama-tokenizer-js", () => {
    // Its own runner, with our encoder and decoder in place of its own.
    let cases = 0;
    const stand = Object.create(llama) as typeof llama;
    stand.encode = (text) => {
      cases++;
      return tokenizer.encode(text, { bos: true });
    };
    // Its flags say what the ids begin with; we find that out, so that only the default ones can be compared.
    stand.decode = (ids, skipBos = true, skipSpace = true) =>
      skipBos && skipSpace ? tokenizer.decode(ids) : llama.decode(ids, skipBos, skipSpace);
    stand.runTests();
    expect(cases).toBeGreaterThanOrEqual(12);
  });

  test("LLaMA's own tokenizer on random texts of characters it has", () => {
    const random = new RandomText(randomStream(11));
    const words = [
      "the",
      " ",
      "  ",
      "\n",
      "镇",
      "ing",
      "ation",
      "er",
      "x",
      "0",
      "=",
      "--",
      "_",
      "😀",
      "é",
      "   ",
      "▁",
    ];
    for (let round = 0; round < 500; round++) {
      const text = Array.from({ length: 1 + random.below(20) }, () => random.pick(words)).join("");
      expect(tokenizer.encode(text), JSON.stringify(text)).toEqual(llama.encode(text, false));
    }
  });
});

test(`tokenizer.model and tokenizer.json give the same ids on ${RANDOM_TEXTS} random texts`, async () => {
  const model = (await loadTokenizer(folder({ "tokenizer.model": fullModel(), ...ziyaJson }))).tokenizer;
  const json = (await loadTokenizer(folder({ "tokenizer.json": fullTokenizerJson(), ...ziyaJson })))
    .tokenizer;
  const random = new RandomText(randomStream(12));
  for (let round = 0; round < RANDOM_TEXTS; round++) {
    const text = random.text();
    expect(json.encode(text), JSON.stringify(text.slice(0, 200))).toEqual(model.encode(text));
  }
});
