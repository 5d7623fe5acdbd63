import { describe, expect, test } from "vitest";
import { ContextOverflowError, OptionError } from "../../src/errors.ts";
import { KvCache, type Sequence } from "../../src/model/sequence.ts";

/** A cache, and the page table that it keeps: [line][index]. */
function cacheOf(pages: number, context = 100, page = 4) {
  const table: number[][] = Array.from({ length: pages }, () => []);
  const cache = new KvCache({ context, page, pages }, (line, index, number) => {
    table[line]![index] = number;
  });
  /** The pages of a sequence, by the table alone. */
  const pagesOf = (sequence: Sequence) => table[sequence.line!]!.slice(0, Math.ceil(sequence.length / page));
  return { cache, pagesOf };
}

function write(sequence: Sequence, tokens: readonly number[]): void {
  sequence.reserve(tokens.length);
  sequence.append(tokens, 0, tokens.length);
}

const count = (length: number, first = 0) => Array.from({ length }, (_, i) => first + i);

describe("a KV cache", () => {
  test("gives every sequence pages of its own, which the table names", () => {
    const { cache, pagesOf } = cacheOf(8);
    const sequences = [0, 1, 2].map(() => cache.open());
    for (let round = 0; round < 9; round++)
      for (const s of sequences.slice(0, round < 3 ? 3 : 2)) write(s, [round]);
    const all = sequences.map(pagesOf);
    expect(all.map(({ length }) => length)).toEqual([3, 3, 1]);
    expect(new Set(all.flat()).size).toBe(7);
    expect(sequences.map(({ pages }) => pages)).toEqual(all);
  });

  test("refuses what no sequence may hold, and what others hold, and changes nothing", () => {
    const { cache } = cacheOf(4, 12);
    const [first, second] = [cache.open(), cache.open()];
    write(first, count(9));
    expect(() => first.reserve(4)).toThrow("4 tokens after the 9 in the cache make 13; the context holds 12");
    expect(() => second.reserve(5)).toThrow(ContextOverflowError);
    expect(() => second.reserve(5)).toThrow("has 1 of 4 pages free; 5 tokens need 2 more");
    write(second, count(4));
    first.release();
    write(second, count(8));
    expect(second.length).toBe(12);
  });

  test("gives a sequence what a released one left of the same tokens, never all of them", () => {
    const { cache } = cacheOf(8);
    for (const tokens of [count(10), count(10, 50)]) {
      const sequence = cache.open();
      write(sequence, tokens);
      sequence.release();
    }
    const again = cache.open(count(10));
    expect(again.tokens).toEqual(count(9));
    expect(cache.open(count(10)).length).toBe(0);
    again.release();
    expect(cache.open([0, 1, 2, 99, 4]).tokens).toEqual([0, 1, 2]);
    expect(cache.open([50, 51]).tokens).toEqual([50]);
    expect(cache.open([50, 51]).length).toBe(0);
  });

  test("takes room from the sequence that was released first, and from no open one", () => {
    const { cache } = cacheOf(4);
    const open = cache.open();
    write(open, [7]);
    for (const first of [10, 20]) {
      const sequence = cache.open();
      write(sequence, count(4, first));
      sequence.release();
    }
    write(cache.open(), count(8, 30));
    expect(cache.open(count(4, 10)).length).toBe(0);
    expect(cache.open(count(4, 20)).length).toBe(3);
    expect(open.tokens).toEqual([7]);
  });

  test("loses no page in a thousand random uses", () => {
    const { cache, pagesOf } = cacheOf(12, 20);
    let seed = 1;
    const random = (below: number) => {
      seed = (seed * 48271) % 2147483647;
      return seed % below;
    };
    const open: Sequence[] = [];
    for (let i = 0; i < 1000; i++) {
      const sequence = open[random(4)];
      if (!sequence) open.push(cache.open(count(random(20), random(3))));
      else if (random(4) === 0) open.splice(open.indexOf(sequence), 1)[0]!.release();
      else if (random(8) === 0) open.splice(open.indexOf(sequence), 1)[0]!.discard();
      else if (random(3) === 0) sequence.truncate(random(sequence.length + 1));
      else if (sequence.length < 20) {
        try {
          write(sequence, count(1 + random(20 - sequence.length), random(3)));
        } catch (error) {
          expect(error).toBeInstanceOf(ContextOverflowError);
        }
      }
      const held = open.filter(({ length, line }) => length > 0 && line !== undefined);
      expect(held.map(pagesOf)).toEqual(
        held.map(({ pages, length }) => pages.slice(0, Math.ceil(length / 4))),
      );
      const pages = open.flatMap((s) => s.pages);
      expect(new Set(pages).size).toBe(pages.length);
    }
    for (const sequence of open) sequence.discard();
    for (let i = 0; i < 3; i++) write(cache.open(), count(16));
  });
});

test("gives out no more lines of the page table than it has", () => {
  const { cache } = cacheOf(100);
  const sequences = Array.from({ length: 64 }, () => cache.open());
  for (const sequence of sequences) write(sequence, [1]);
  expect(() => cache.open().reserve(1)).toThrow("64 sequences are open");
  sequences[5]!.release();
  const again = cache.open([1, 2]);
  write(again, [2]);
  expect(again.tokens).toEqual([1, 2]);
});

describe("a sequence", () => {
  test("is of no use once it is released, and may be released twice", () => {
    const { cache } = cacheOf(2);
    const sequence = cache.open();
    write(sequence, [1, 2, 3]);
    expect(() => sequence.truncate(4)).toThrow("Cannot cut the sequence to 4 tokens; it holds 3.");
    sequence.release();
    sequence.release();
    sequence.discard();
    expect(() => sequence.reserve(1)).toThrow(OptionError);
    expect(() => sequence.truncate(0)).toThrow("was released");
    expect(cache.open([1, 2, 3, 4]).length).toBe(3);
  });
});
