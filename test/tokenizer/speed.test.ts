import { beforeAll, describe, expect, test } from "vitest";
import { folder, fullModel, fullTokenizerJson, ziyaJson } from "../../fixtures/vocabulary.ts";
import { loadTokenizer } from "../../src/tokenizer/load-tokenizer.ts";
import type { Tokenizer } from "../../src/tokenizer/tokenizer.ts";
import { randomStream } from "../support/random.ts";
import { fixtureModel } from "./fixtures.ts";

const MEGABYTE = 1_000_000;
/** One megabyte in one call, the median of three. Measured 0.05 to 0.5 s on two shared cores. */
const LIMIT_MS = 1_000;

const encoder = new TextEncoder();

/** Repeats a text to at least a megabyte of UTF-8. */
function fill(text: string): string {
  return text.repeat(Math.ceil(MEGABYTE / encoder.encode(text).length));
}

function random(alphabet: string, seed: number): string {
  const next = randomStream(seed);
  const characters = [...alphabet];
  const pick = () => characters[Math.floor(next() * characters.length)]!;
  return Array.from({ length: MEGABYTE }, pick).join("");
}

const PROSE =
  "The llama (Lama glama) is a domesticated South American camelid, widely used as a meat and pack animal.\n" +
  "骆驼是一种动物，它生活在沙漠里，可以很多天不喝水。今天我们来认识它的朋友：羊驼！\n" +
  "function main(x) {\n    return x + 12345;\n}\n";

const TEXTS: [string, string][] = [
  ["prose and code", fill(PROSE)],
  ["Chinese", fill("骆驼是一种动物，它生活在沙漠里，可以很多天不喝水。")],
  ["one letter", fill("a")],
  ["spaces", fill(" ")],
  ["line breaks", fill("\n")],
  ["hyphens", fill("-")],
  ["equal signs", fill("=")],
  ["one Chinese character", fill("中")],
  ["a character without a piece", fill("🦙")],
  ["alternating letters", fill("er")],
  ["alternating letter and space", fill("a ")],
  ["one word without spaces", fill("the")],
  ["random letters", random("etaoin", 1)],
  ["random letters and spaces", random("ab  ", 2)],
  ["lone surrogates", fill("\ud83e")],
];

/**
 * The median of three in milliseconds of processor time: a machine that is busy with something else does not make this
 * slow. Two within the limit settle it: the median is not above the slower of them, which stands for it then.
 */
function median(run: () => void): number {
  const times: number[] = [];
  while (times.length < 3 && times.filter((time) => time < LIMIT_MS).length < 2) {
    const start = process.cpuUsage();
    run();
    const { user, system } = process.cpuUsage(start);
    times.push((user + system) / 1000);
  }
  return times.sort((a, b) => a - b)[1]!;
}

describe("a megabyte in one call takes less than a second", () => {
  let full: Tokenizer;
  let unused: Tokenizer;
  beforeAll(async () => {
    full = (await loadTokenizer(folder({ "tokenizer.model": fullModel(), ...ziyaJson }))).tokenizer;
    unused = (await loadTokenizer(folder({ "tokenizer.model": fixtureModel("unused") }))).tokenizer;
  });

  test.each(TEXTS)("encode %s", (_, text) => {
    expect(median(() => full.encode(text))).toBeLessThan(LIMIT_MS);
  });

  test("encode prose with a model that has unused pieces, whose text cannot be taken apart", () => {
    expect(median(() => unused.encode(TEXTS[0]![1]))).toBeLessThan(LIMIT_MS);
  });

  test("recognise special strings, and strip the spaces around them", () => {
    const text = `<human>${fill(" ")}<bot>${fill("<human> \n")}`;
    expect(median(() => full.encode(text, { special: true }))).toBeLessThan(LIMIT_MS);
  });

  test("decode", () => {
    const ids = full.encode(TEXTS[0]![1]);
    expect(median(() => full.decode(ids))).toBeLessThan(LIMIT_MS);
  });
});

/**
 * Milliseconds of processor time. Measured 4.1 to 5.7 s on two cores beside a load of 9 to 13; looking through all for
 * each took 10 to 19 s alone.
 */
const MANY_MS = 9_000;
const MANY = 128_000;

test("128,000 special tokens are read and recognised in near linear time", async () => {
  const json = fullTokenizerJson();
  const model = json.model as { vocab: Record<string, number> };
  const first = Object.keys(model.vocab).length;
  const more = Array.from({ length: MANY }, (_, index) => `<|${index}|>`);
  const vocab = { ...model.vocab, ...Object.fromEntries(more.map((text, index) => [text, first + index])) };
  const added = more.map((content, index) => ({ id: first + index, content, special: true }));
  const start = process.cpuUsage();
  const { tokenizer } = await loadTokenizer(
    folder({ "tokenizer.json": { ...json, added_tokens: added, model: { ...model, vocab, merges: [] } } }),
  );
  const ids = tokenizer.encode(more.join(""), { special: true });
  const { user, system } = process.cpuUsage(start);
  expect(ids).toEqual(more.map((_, index) => first + index));
  expect((user + system) / 1000).toBeLessThan(MANY_MS);
});
