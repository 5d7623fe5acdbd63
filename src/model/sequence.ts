import { ContextOverflowError, OptionError } from "../errors.ts";

/** Positions of a page: a multiple of what attention takes at a time. */
export const PAGE = 32;

interface CacheShape {
  /** Positions that one sequence may have. */
  readonly context: number;
  /** Positions of a page. */
  readonly page: number;
  /** Pages that there are for all sequences. */
  readonly pages: number;
}

/** Lines of the page table: sequences that may be open at a time. */
export function tableLines({ pages }: Pick<CacheShape, "pages">): number {
  return Math.min(pages, 64);
}

/** One budget of pages for all sequences: who has which. What stands in them, kernels write and read. */
export class KvCache {
  readonly shape: CacheShape;
  private readonly setPage: (line: number, index: number, page: number) => void;
  private readonly free: number[];
  private readonly freeLines: number[];
  /** Released sequences, the least recently used first: what they hold stays until someone needs the room. */
  private readonly idle: Sequence[] = [];

  /** @param setPage Enters a page in the page table: the `index`-th of the sequence on a line. */
  constructor(shape: CacheShape, setPage: (line: number, index: number, page: number) => void) {
    this.shape = shape;
    this.setPage = setPage;
    this.free = countDown(shape.pages);
    this.freeLines = countDown(tableLines(shape));
  }

  /**
   * A sequence for the tokens of `like`: one that was released and begins with the same tokens, cut to those, or an empty
   * one. It never holds all of `like`, since the last token has to run for its logits.
   */
  open(like: readonly number[] = []): Sequence {
    let best = -1;
    let longest = 0;
    for (const [i, { tokens }] of this.idle.entries()) {
      const shared = sharedLength(tokens, like);
      if (shared > longest) [best, longest] = [i, shared];
    }
    const pages: number[] = [];
    const tokens: number[] = [];
    if (best >= 0) {
      const [found] = this.idle.splice(best, 1);
      pages.push(...found!.pages);
      tokens.push(...found!.tokens.slice(0, longest));
    }
    const sequence = new Sequence(this, tokens, pages);
    sequence.truncate(longest);
    return sequence;
  }

  /**
   * Gives a sequence the pages for `length` positions, and the first time a line of the page table.
   * @returns the line.
   */
  grow(sequence: Sequence, pages: number[], length: number): number {
    const { context, page } = this.shape;
    if (length > context) {
      throw new ContextOverflowError(
        `${length - sequence.length} tokens after the ${sequence.length} in the cache make ${length}; the context holds ${context}. ` +
          "Shorten the conversation, or load the model with a longer context.",
      );
    }
    const wanted = Math.ceil(length / page) - pages.length;
    while (this.free.length < wanted && this.idle.length > 0) this.free.push(...this.idle.shift()!.pages);
    if (this.free.length < wanted) {
      throw new ContextOverflowError(
        `The KV cache has ${this.free.length} of ${this.shape.pages} pages free; ${length} tokens need ${wanted} more. ` +
          "Release another sequence first, or load the model with a longer context.",
      );
    }
    const line = sequence.line ?? this.freeLines.pop();
    if (line === undefined) {
      throw new ContextOverflowError(
        `${tableLines(this.shape)} sequences are open, the most there may be. Release one first.`,
      );
    }
    const known = sequence.line === undefined ? 0 : pages.length;
    for (let i = 0; i < wanted; i++) pages.push(this.free.pop()!);
    for (let i = known; i < pages.length; i++) this.setPage(line, i, pages[i]!);
    return line;
  }

  /** Takes pages back. */
  reclaim(pages: readonly number[]): void {
    this.free.push(...pages);
  }

  /** Takes a released sequence: its line back, and what it holds for one that begins alike. */
  keep(sequence: Sequence): void {
    if (sequence.line !== undefined) this.freeLines.push(sequence.line);
    if (sequence.length > 0) this.idle.push(sequence);
  }
}

/** Tokens whose keys and values are in the cache, and the pages that hold them. One owner, until it is released. */
export class Sequence {
  /** The pages that hold its tokens, in order. */
  readonly pages: number[];
  /** Its line in the page table, from the first tokens on. */
  line: number | undefined;
  private readonly cache: KvCache;
  private readonly ids: number[];
  private released = false;

  /** For KvCache.open() alone. */
  constructor(cache: KvCache, tokens: number[], pages: number[]) {
    this.cache = cache;
    this.ids = tokens;
    this.pages = pages;
  }

  /** The ids in the cache, from the first position on. */
  get tokens(): readonly number[] {
    return this.ids;
  }

  get length(): number {
    return this.ids.length;
  }

  /**
   * Makes room for `count` tokens more.
   * @throws ContextOverflowError before anything changes when they do not fit.
   */
  reserve(count: number): void {
    this.checkOpen();
    this.line = this.cache.grow(this, this.pages, this.length + count);
  }

  /** Where in the cache a position stands, for which there is room. */
  placeOf(position: number): number {
    const { page } = this.cache.shape;
    return this.pages[Math.floor(position / page)]! * page + (position % page);
  }

  /** Takes note of tokens whose keys and values a pass has written: `count` of `tokens` from `first` on. */
  append(tokens: readonly number[], first: number, count: number): void {
    for (let i = first; i < first + count; i++) this.ids.push(tokens[i]!);
  }

  /**
   * Forgets every token from `length` on.
   * @throws OptionError when it holds fewer.
   */
  truncate(length: number): void {
    this.checkOpen();
    if (!Number.isInteger(length) || length < 0 || length > this.length) {
      throw new OptionError(`Cannot cut the sequence to ${length} tokens; it holds ${this.length}.`);
    }
    this.ids.length = length;
    this.cache.reclaim(this.pages.splice(Math.ceil(length / this.cache.shape.page)));
  }

  /** Ends its use. What it holds stays in the cache for a sequence that begins alike, until someone needs the room. */
  release(): void {
    if (this.released) return;
    this.truncate(this.length);
    this.released = true;
    this.cache.keep(this);
  }

  /** Ends its use and frees its pages at once. */
  discard(): void {
    if (!this.released) this.truncate(0);
    this.release();
  }

  private checkOpen(): void {
    if (this.released) throw new OptionError("This sequence was released; open another one.");
  }
}

function countDown(count: number): number[] {
  return Array.from({ length: count }, (_, i) => count - 1 - i);
}

/** How many tokens both begin with, the last of `like` not counted. */
function sharedLength(tokens: readonly number[], like: readonly number[]): number {
  const most = Math.min(tokens.length, like.length - 1);
  let count = 0;
  while (count < most && tokens[count] === like[count]) count++;
  return count;
}
