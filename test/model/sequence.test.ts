import { describe, expect, test } from "vitest";
import { ContextOverflowError, OptionError } from "../../src/errors.ts";
import { KvCache, type Sequence } from "../../src/model/sequence.ts";

/**
 * A cache, the page table that it keeps, [line][index], and what stands in its pages, as kernels would write it: the token
 * of each place.
 */
function cacheOf(pages: number, context = 100, page = 4) {
  const table: number[][] = Array.from({ length: pages }, () => []);
  const places: number[] = [];
  const copies: [from: number, to: number, positions: number][] = [];
  const cache = new KvCache(
    { context, page, pages },
    {
      setPages(line, held, first) {
        table[line]!.splice(first, held.length - first, ...held.slice(first));
      },
      copyPage(from, to, positions) {
        copies.push([from, to, positions]);
        for (let i = 0; i < positions; i++) places[to * page + i] = places[from * page + i]!;
      },
    },
  );
  /** The pages of a sequence, by the table alone. */
  const pagesOf = (sequence: Sequence) => table[sequence.line!]!.slice(0, Math.ceil(sequence.length / page));
  const write = (sequence: Sequence, tokens: readonly number[]) => {
    sequence.reserve(tokens.length);
    const first = sequence.length;
    for (const [i, token] of tokens.entries()) places[sequence.placeOf(first + i)] = token;
    sequence.append(tokens, 0, tokens.length);
  };
  /** What a sequence's pages hold, at its positions. */
  const heldBy = (sequence: Sequence) => sequence.tokens.map((_, i) => places[sequence.placeOf(i)]);
  return { cache, pagesOf, write, heldBy, copies };
}

const count = (length: number, first = 0) => Array.from({ length }, (_, i) => first + i);

describe("a KV cache", () => {
  test("gives every sequence pages of its own, which the table names", () => {
    const { cache, pagesOf, write } = cacheOf(8);
    const sequences = [0, 1, 2].map(() => cache.open());
    for (let round = 0; round < 9; round++)
      for (const s of sequences.slice(0, round < 3 ? 3 : 2)) write(s, [round]);
    const all = sequences.map(pagesOf);
    expect(all.map(({ length }) => length)).toEqual([3, 3, 1]);
    expect(new Set(all.flat()).size).toBe(7);
    expect(sequences.map(({ pages }) => pages)).toEqual(all);
  });

  test("refuses what no sequence may hold, and what others hold, and changes nothing", () => {
    const { cache, write } = cacheOf(4, 12);
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

  test("hands a released sequence over to one that goes on from it", () => {
    const { cache, write, copies } = cacheOf(8);
    for (const tokens of [count(10), count(10, 50)]) {
      const sequence = cache.open();
      write(sequence, tokens);
      sequence.release();
    }
    const again = cache.open(count(11));
    expect(again.tokens).toEqual(count(10));
    write(again, [10]);
    again.release();
    // It was taken over whole, and is kept once.
    expect(cache.open(count(12)).pages).toEqual(again.pages);
    expect(copies).toEqual([]);
  });

  test("of those that hold as much takes over one that is released whole, for which nothing is copied", () => {
    const { cache, write, copies } = cacheOf(12);
    const [open, whole] = [cache.open(), cache.open()];
    write(open, [...count(6), 60, 61]);
    write(whole, count(6));
    const { pages } = whole;
    whole.release();
    const again = cache.open([...count(6), 70]);
    expect([again.tokens, again.pages, copies]).toEqual([count(6), pages, []]);
  });

  test("gives a sequence what any other one holds of the same tokens, never all of them, and leaves that alone", () => {
    const { cache, write, heldBy, copies } = cacheOf(12);
    const first = cache.open();
    write(first, count(10));
    for (const state of ["open", "released"]) {
      const second = cache.open(count(10));
      expect(second.tokens, state).toEqual(count(9));
      expect(second.pages.slice(0, 2)).toEqual(first.pages.slice(0, 2));
      expect(copies.splice(0)).toEqual([[first.pages[2], second.pages[2], 1]]);
      write(second, [70, 71]);
      expect(heldBy(second)).toEqual([...count(9), 70, 71]);
      expect(heldBy(first)).toEqual(count(10));
      second.discard();
      // Of whole pages nothing is copied.
      const third = cache.open([...count(8), 99, 98]);
      expect([third.length, copies.length]).toEqual([8, 0]);
      third.discard();
      first.release();
    }
    expect(cache.open([0, 1, 2, 99, 4]).tokens).toEqual([0, 1, 2]);
    expect(cache.open(count(11)).tokens).toEqual(count(10));
  });

  test("shares whole pages only where no page is free for the last one, and takes it of one released", () => {
    const { cache, write, copies } = cacheOf(3);
    const first = cache.open();
    write(first, count(10));
    const second = cache.open([...count(9), 99, 98]);
    expect(second.tokens).toEqual(count(8));
    expect(() => second.reserve(1)).toThrow("has 0 of 3 pages free");
    second.release();
    first.release();
    const third = cache.open([...count(9), 99, 98]);
    expect(third.tokens).toEqual(count(9));
    write(third, [99]);
    expect(copies).toEqual([]);
    third.discard();
    expect(cache.open(count(11)).tokens).toEqual(count(8));
  });

  test("takes room from the end of the sequence that was released first, and from no open one", () => {
    const { cache, write } = cacheOf(5);
    const open = cache.open();
    write(open, [7]);
    for (const first of [10, 20]) {
      const sequence = cache.open();
      write(sequence, count(8, first));
      sequence.release();
    }
    write(cache.open(), count(4, 30));
    expect(cache.open(count(9, 20)).length).toBe(8);
    expect(cache.open(count(9, 10)).length).toBe(4);
    expect(open.tokens).toEqual([7]);
  });

  test("frees no page of a released sequence that another one shares", () => {
    const { cache, write, heldBy } = cacheOf(4);
    const first = cache.open();
    write(first, count(12));
    first.release();
    const second = cache.open([...count(8), 90, 91]);
    const third = cache.open();
    write(third, count(8, 50));
    expect(() => second.reserve(1)).toThrow("has 0 of 4 pages free");
    expect(heldBy(second)).toEqual(count(8));
    expect(heldBy(third)).toEqual(count(8, 50));
  });

  test("loses, mixes up and frees twice no page in thousands of random uses", () => {
    const { cache, pagesOf, write, heldBy } = cacheOf(12, 20);
    let seed = 1;
    const random = (below: number) => {
      seed = (seed * 48271) % 2147483647;
      return seed % below;
    };
    const open: { sequence: Sequence; tokens: number[] }[] = [];
    const orOverflow = (work: () => void) => {
      try {
        work();
      } catch (error) {
        expect(error).toBeInstanceOf(ContextOverflowError);
      }
    };
    let [forks, reused] = [0, 0];
    for (let i = 0; i < 4000; i++) {
      const at = random(6);
      const one = open[at];
      const dice = random(12);
      if (!one) {
        const like = count(random(20), random(3));
        const sequence = cache.open(like);
        expect(like.slice(0, sequence.length)).toEqual(sequence.tokens);
        if (sequence.length > 0) reused++;
        open.push({ sequence, tokens: [...sequence.tokens] });
      } else if (dice < 2) open.splice(at, 1)[0]!.sequence.release();
      else if (dice < 3) open.splice(at, 1)[0]!.sequence.discard();
      else if (dice < 6) {
        const length = random(one.tokens.length + 1);
        one.sequence.truncate(length);
        one.tokens.length = length;
      } else if (dice < 8 && open.length < 6) {
        orOverflow(() => {
          open.push({ sequence: one.sequence.fork(), tokens: [...one.tokens] });
          forks++;
        });
      } else {
        const more = count(1 + random(6), one.tokens.length + random(3));
        orOverflow(() => {
          write(one.sequence, more);
          one.tokens.push(...more);
        });
      }
      for (const { sequence, tokens } of open) {
        expect(sequence.tokens).toEqual(tokens);
        expect(heldBy(sequence)).toEqual(tokens);
        // A line is written when there is something to run: until then it names no pages.
        if (sequence.line !== undefined)
          expect(pagesOf(sequence)).toEqual(sequence.pages.slice(0, Math.ceil(tokens.length / 4)));
      }
    }
    expect([forks, reused].every((times) => times > 100)).toBe(true);
    for (const { sequence } of open) sequence.discard();
    const all = [0, 1, 2].map(() => cache.open());
    for (const sequence of all) write(sequence, count(16));
    expect(new Set(all.flatMap(({ pages }) => pages)).size).toBe(12);
  });
});

test("gives out no more lines of the page table than it has", () => {
  const { cache, write } = cacheOf(100);
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
    const { cache, write } = cacheOf(2);
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

  test("forks into one that goes its own way, at once and after it was cut into what they share", () => {
    const { cache, write, heldBy, copies } = cacheOf(8);
    const first = cache.open();
    write(first, count(10));
    const second = first.fork();
    expect(second.pages.slice(0, 2)).toEqual(first.pages.slice(0, 2));
    write(first, [80]);
    write(second, [90, 91]);
    expect([heldBy(first), heldBy(second)]).toEqual([
      [...count(10), 80],
      [...count(10), 90, 91],
    ]);
    copies.length = 0;
    const shared = second.pages[1];
    second.truncate(6);
    write(second, [92]);
    expect(copies).toEqual([[shared, second.pages[1], 2]]);
    expect([heldBy(first), heldBy(second)]).toEqual([
      [...count(10), 80],
      [...count(6), 92],
    ]);
    // The last who holds a page writes to it.
    first.discard();
    const left = second.pages[0];
    second.truncate(2);
    write(second, [93]);
    expect([second.pages[0], copies.length]).toEqual([left, 1]);
  });

  test("is not forked where no page is free, and nothing is lost by that", () => {
    const { cache, write } = cacheOf(3);
    const first = cache.open();
    write(first, count(10));
    expect(() => first.fork()).toThrow("A fork of 10 tokens needs a page of its own");
    first.truncate(8);
    const second = first.fork();
    write(second, [8]);
    expect(() => first.reserve(1)).toThrow("has 0 of 3 pages free; 9 tokens need 1 more");
    second.discard();
    write(first, count(4, 8));
  });
});
