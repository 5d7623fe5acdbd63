import { describe, expect, test } from "vitest";
import { llamaHead, writeModel } from "../../fixtures/model-proto.ts";
import { folder } from "../../fixtures/vocabulary.ts";
import { MinHeap } from "../../src/tokenizer/heap.ts";
import { loadTokenizer } from "../../src/tokenizer/load-tokenizer.ts";
import { Merger } from "../../src/tokenizer/merge.ts";
import { PairTable } from "../../src/tokenizer/pairs.ts";
import { readSentencePieceModel } from "../../src/tokenizer/sentencepiece.ts";
import { Trie } from "../../src/tokenizer/trie.ts";
import type { Merges } from "../../src/tokenizer/vocabulary.ts";
import { randomStream } from "../support/random.ts";

/** One less, exactly, one more. */
const around = (size: number) => [size - 1, size, size + 1];

describe("a pair table with as many pairs as it is for, one less and one more", () => {
  test.each([8, 16, 64, 1024].flatMap(around))("%i", (capacity) => {
    for (const count of around(capacity)) {
      const table = new PairTable(capacity);
      for (let index = 0; index < count; index++) table.set(index, index * 3, index);
      for (let index = 0; index < count; index++) expect(table.get(index, index * 3)).toBe(index);
      // It looks for a free slot: in a table without one it would look for ever.
      expect(table.get(count, 1)).toBe(-1);
    }
  });
});

test.each([1, 2, 16, 257].flatMap(around).filter(Boolean))(
  "a heap of %i, full, gives all back in order",
  (size) => {
    const random = randomStream(size);
    for (const count of [size - 1, size]) {
      const keys = Array.from({ length: count }, () => random());
      const heap = new MinHeap(size);
      for (const key of keys) heap.push(key);
      expect(keys.map(() => heap.pop())).toEqual(keys.toSorted((a, b) => a - b));
      expect(heap.size).toBe(0);
    }
  },
);

/** Runs of "a", "b" and both: every two neighbours merge, so that candidates are many. */
const words = [
  "\u2581",
  "a",
  "b",
  ..."aa ab ba bb aaa aab aba abb baa bab bba bbb aaaa abab baba bbbb".split(" "),
];
const model = writeModel({
  pieces: [...llamaHead(), ...words.map((piece, index) => ({ piece, score: -((index * 7) % 5) }))],
});

/** Byte pair encoding by looking through all neighbours each time. */
function mergeSlowly(symbols: number[], { pairs, merged, ranks }: Merges): number[] {
  for (;;) {
    let best = -1;
    let at = -1;
    for (let place = 0; place + 1 < symbols.length; place++) {
      const index = pairs.get(symbols[place]!, symbols[place + 1]!);
      if (index >= 0 && (best < 0 || ranks[index]! < ranks[best]!)) [best, at] = [index, place];
    }
    if (best < 0) return symbols;
    symbols.splice(at, 2, merged[best]!);
  }
}

// 256 symbols are where a stretch gets memory of its own.
test.each([2, 128, 256, 512].flatMap(around))("a stretch of %i symbols merges as it should", (count) => {
  const { merges } = readSentencePieceModel(model);
  const merger = new Merger(merges);
  const [a, b] = [merges.characters.get(0x61)!, merges.characters.get(0x62)!];
  const random = randomStream(count);
  for (const pick of [() => a, () => (random() < 0.5 ? a : b)]) {
    const symbols = Array.from({ length: count }, pick);
    const found = Int32Array.from(symbols);
    const end = merger.merge(found, 0, count);
    expect([...found.subarray(0, end)]).toEqual(mergeSlowly(symbols, merges));
  }
});

test.each([1, 256, 4096].flatMap(around))("a text of %i characters loses none", async (length) => {
  const { tokenizer } = await loadTokenizer(folder({ "tokenizer.model": model }));
  // Each a piece of its own behind the prefix; in UTF-16 units and in pairs of them.
  expect(tokenizer.encode("\u2581".repeat(length))).toHaveLength(length === 0 ? 0 : length + 1);
  expect(tokenizer.encode("🦙".repeat(length))).toHaveLength(length === 0 ? 0 : 4 * length + 1);
  expect(tokenizer.decode(tokenizer.encode("ab🦙".repeat(length)))).toBe("ab🦙".repeat(length));
});

test.each([1, 8, 64].flatMap(around).filter(Boolean))("a trie of %i units knows all and no more", (count) => {
  // One sequence of them all, and its beginnings: as many edges as the table is made for.
  const units = Int32Array.from({ length: count }, (_, index) => index);
  const trie = new Trie([[units, 7]]);
  expect([trie.match(units, 0, count), trie.length]).toEqual([7, count]);
  expect(trie.match(units, 0, count - 1)).toBe(-1);
  expect(trie.match(Int32Array.of(...units, 99), 0, count + 1)).toBe(7);
});
