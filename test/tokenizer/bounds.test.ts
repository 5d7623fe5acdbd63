import { describe, expect, test } from "vitest";
import { folder, fullTokenizerJson } from "../../fixtures/vocabulary.ts";
import { TEXT_LIMIT } from "../../src/checkpoint/source.ts";
import { readTokenizerJson } from "../../src/tokenizer/huggingface.ts";
import { parseJsonObject } from "../../src/tokenizer/json.ts";
import { loadTokenizer } from "../../src/tokenizer/load-tokenizer.ts";
import { declaredTokens } from "../../src/tokenizer/special.ts";

/** Bounds that the sources have, written down once more: real files have half of each at most. */
const BYTES = 40 << 20;
const VALUES = 1 << 22;
const PIECES = 1 << 19;
const MERGES = 1 << 20;
const ADDED = 1 << 14;
const DECLARED = 1 << 17;
const LENGTH = 256;

/** As much as is read, and one more. */
const upTo = (size: number) => [size, size + 1];
const encoder = new TextEncoder();

test.each(upTo(BYTES))("a file of %i bytes", (size) => {
  expect(TEXT_LIMIT).toBe(BYTES);
  const bytes = new Uint8Array(size).fill(0x20);
  bytes.set(encoder.encode('{"a":1}'));
  const read = () => parseJsonObject(bytes, "tokenizer.json");
  if (size <= BYTES) expect(read()).toEqual({ a: 1 });
  else expect(read).toThrow(`tokenizer.json has ${size} bytes; up to ${BYTES} are read.`);
});

test.each(upTo(VALUES))("a file of %i values", (count) => {
  // The object and the list are two of them, and the list's first has no comma.
  const bytes = encoder.encode(`{"a":[0${",0".repeat(count - 2)}]}`);
  const read = () => parseJsonObject(bytes, "tokenizer.json");
  if (count <= VALUES) expect(read().a).toHaveLength(count - 1);
  else expect(read).toThrow(`tokenizer.json has ${count} values; up to ${VALUES} are read.`);
});

test.each(["{},", "["])("values of three bytes are refused before they are made: %s", (value) => {
  const bytes = encoder.encode(`{"a":[${value.repeat(Math.floor(BYTES / value.length) - 10)}`);
  const before = process.memoryUsage().heapUsed;
  expect(() => parseJsonObject(bytes, "tokenizer.json")).toThrow(`up to ${VALUES} are read`);
  // They would take hundreds of megabytes.
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(BYTES);
});

describe("a vocabulary", () => {
  const json = fullTokenizerJson();
  const model = json.model as { vocab: Record<string, number>; merges: unknown[] };
  const some = Object.keys(model.vocab).length;
  const read = (pieces: number, merges: number) => {
    const vocab = { ...model.vocab };
    for (let id = some; id < pieces; id++) vocab[`<|${id}|>`] = id;
    return readTokenizerJson({
      ...json,
      model: { ...model, vocab, merges: Array(merges).fill(model.merges[0]) },
    });
  };

  test.each(upTo(PIECES))("of %i pieces", (count) => {
    if (count <= PIECES) expect(read(count, 1).pieces).toHaveLength(count);
    else expect(() => read(count, 1)).toThrow(`has ${count} pieces; up to ${PIECES} are read.`);
  });

  test.each(upTo(MERGES))("with %i merges", (count) => {
    if (count <= MERGES) expect(read(some, count).merges.ranks).toHaveLength(count);
    else expect(() => read(some, count)).toThrow(`has ${count} merges; up to ${MERGES} are read.`);
  });

  test.each(upTo(ADDED))("with %i added tokens", async (count) => {
    const added = Array.from({ length: count }, (_, i) => ({
      id: some + i,
      content: `<|${i}|>`,
      special: true,
    }));
    const loading = loadTokenizer(folder({ "tokenizer.json": { ...json, added_tokens: added } }));
    if (count <= ADDED) expect((await loading).tokenizer.size).toBe(some + count);
    else await expect(loading).rejects.toThrow(`adds ${count} tokens; up to ${ADDED} are read.`);
  });

  test.each(upTo(DECLARED))("beside %i added tokens that files declare", (count) => {
    const added_tokens = Array.from({ length: count }, (_, id) => ({ id, content: `<|${id}|>` }));
    const read = () => declaredTokens({ tokenizerJson: { added_tokens } }, true, undefined);
    if (count <= DECLARED) expect(read()).toHaveLength(count);
    else expect(read).toThrow(`declares ${count} added tokens; up to ${DECLARED} are read.`);
  });

  test.each(upTo(LENGTH))("with an added token of %i characters", async (length) => {
    const content = "x".repeat(length);
    const loading = loadTokenizer(
      folder({ "tokenizer.json": { ...json, added_tokens: [{ id: some, content, special: false }] } }),
    );
    if (length <= LENGTH) expect((await loading).tokenizer.encode(content)).toContain(some);
    else await expect(loading).rejects.toThrow(`added tokens have 1 to ${LENGTH} characters`);
  });
});
