import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { folder, fullModel } from "../../fixtures/vocabulary.ts";
import { loadTokenizer } from "../../src/tokenizer/load-tokenizer.ts";
import { randomStream } from "../support/random.ts";
import { FIXTURES, fixtureModel } from "./fixtures.ts";
import { RandomText } from "./random-text.ts";
import { python, referenceDecode, referenceEncode } from "./reference.ts";

/** Strings per model; `ZIYA_FUZZ=100000` is the figure of record. */
const COUNT = Number(process.env.ZIYA_FUZZ ?? 2_000);
const BATCH = 5_000;

const tiny = join(import.meta.dirname, "..", "..", "models", "ziya-tiny", "tokenizer.model");
const models: [string, () => Uint8Array][] = [
  ["the full vocabulary", fullModel],
  ...FIXTURES.map((name): [string, () => Uint8Array] => [name, () => fixtureModel(name)]),
];
if (existsSync(tiny)) models.push(["ziya-tiny", () => new Uint8Array(readFileSync(tiny))]);

describe.skipIf(python === undefined)("live comparison with Google's sentencepiece", () => {
  test.each(models)(`${COUNT} random strings, %s`, { timeout: 3_600_000 }, async (name, read) => {
    const model = read();
    const { tokenizer } = await loadTokenizer(folder({ "tokenizer.model": model }));
    const random = new RandomText(randomStream(name.length));
    for (let done = 0; done < COUNT; done += BATCH) {
      const texts = Array.from({ length: Math.min(BATCH, COUNT - done) }, () => random.text());
      const answers = referenceEncode(model, texts);
      expect(answers).toHaveLength(texts.length);
      for (const [index, [ids, decoding]] of answers.entries()) {
        const text = texts[index]!;
        const found = tokenizer.encode(text);
        // Compared as strings first: a deep comparison of 100,000 long arrays takes minutes.
        if (found.join() !== ids.join()) expect(found, JSON.stringify(text)).toEqual(ids);
        if (tokenizer.decode(ids) !== decoding)
          expect(tokenizer.decode(ids), JSON.stringify(text)).toBe(decoding);
      }
    }
  });

  test.each(models)(`${COUNT} random runs of ids, %s`, { timeout: 3_600_000 }, async (name, read) => {
    const model = read();
    const { tokenizer } = await loadTokenizer(folder({ "tokenizer.model": model }));
    const random = new RandomText(randomStream(name.length + 100));
    const runs = Array.from({ length: COUNT }, () => {
      const limit = random.pick([5, 259, 259, tokenizer.size]);
      return Array.from({ length: 1 + random.below(30) }, () => random.below(limit));
    });
    const answers = referenceDecode(model, runs);
    expect(answers).toHaveLength(COUNT);
    for (const [index, decoding] of answers.entries()) {
      expect(tokenizer.decode(runs[index]!), JSON.stringify(runs[index])).toBe(decoding);
    }
  });
});
