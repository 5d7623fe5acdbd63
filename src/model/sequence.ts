import { ContextOverflowError, OptionError } from "../errors.ts";
import { countDown, Pages } from "./pages.ts";

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

/** What to do where no page is free. */
const ADVICE = "Release another sequence first, or load the model with room for more tokens (cacheTokens).";

/** Lines of the page table: sequences that may be open at a time. */
export function tableLines({ pages }: Pick<CacheShape, "pages">): number {
  return Math.min(pages, 64);
}

/** What sequences ask of the GPU, in the order of the passes that were submitted before. */
export interface PageTable {
  /** Enters the pages of the sequence on a line in the page table, from the `first`-th of them on. */
  setPages(line: number, pages: readonly number[], first: number): void;
  /** Copies what the first `positions` of a page hold to another page. */
  copyPage(from: number, to: number, positions: number): void;
}

/**
 * One budget of pages for all sequences: who has which. What stands in them, kernels write and read. Sequences that begin
 * alike share the pages that they fill; a page that several hold is copied before one of them writes to it.
 */
export class KvCache {
  readonly shape: CacheShape;
  private readonly table: PageTable;
  private readonly pages: Pages;
  private readonly freeLines: number[];
  private readonly inUse = new Set<Sequence>();
  /** Released sequences, the least recently used first: what they hold stays until someone needs the room. */
  private readonly idle: Sequence[] = [];

  constructor(shape: CacheShape, table: PageTable) {
    this.shape = shape;
    this.table = table;
    this.pages = new Pages(shape.pages);
    this.freeLines = countDown(tableLines(shape));
  }

  /**
   * A sequence for the tokens of `like`, which holds as many of them as any other one does: a released one that they go on
   * from, or one of its own that shares pages. It never holds all of `like`, since the last token has to run for its logits.
   */
  open(like: readonly number[] = []): Sequence {
    let source: Sequence | undefined;
    let longest = 0;
    for (const one of [...this.inUse, ...this.idle]) {
      const length = sharedLength(one.tokens, like);
      // Of equals, one that is taken over whole needs no page more.
      if (length > longest || (length === longest && source && this.isWhole(one, length))) {
        [source, longest] = [one, length];
      }
    }
    if (!source) return this.begin([], []);
    if (!this.isWhole(source, longest)) return this.share(source, longest);
    this.idle.splice(this.idle.indexOf(source), 1);
    return this.begin([...source.tokens], [...source.pages]);
  }

  /**
   * Another sequence of the same tokens, for Sequence.fork() alone.
   * @throws ContextOverflowError when no page is free for the last, part-filled one.
   */
  fork(sequence: Sequence): Sequence {
    const twin = this.share(sequence, sequence.length);
    if (twin.length === sequence.length) return twin;
    twin.discard();
    throw new ContextOverflowError(
      `A fork of ${sequence.length} tokens needs a page of its own, and all ${this.shape.pages} of the KV cache are in use. ${ADVICE}`,
    );
  }

  /**
   * Gives a sequence pages of its own from its end to `length` positions, and the first time a line of the page table.
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
    const tail = Math.floor(sequence.length / page);
    const filled = sequence.length % page;
    const copies = () => (filled > 0 && this.pages.isShared(pages[tail]!) ? 1 : 0);
    const wanted = () => Math.ceil(length / page) - pages.length + copies();
    this.makeRoom(wanted);
    if (this.pages.left < wanted()) {
      throw new ContextOverflowError(
        `The KV cache has ${this.pages.left} of ${this.shape.pages} pages free; ${length} tokens need ${wanted()} more. ${ADVICE}`,
      );
    }
    const line = sequence.line ?? this.freeLines.pop();
    if (line === undefined) {
      throw new ContextOverflowError(
        `${tableLines(this.shape)} sequences are open, the most there may be. Release one first.`,
      );
    }
    let known = sequence.line === undefined ? 0 : pages.length;
    if (copies() > 0) {
      pages[tail] = this.copy(pages[tail]!, filled);
      known = Math.min(known, tail);
    }
    while (pages.length < Math.ceil(length / page)) pages.push(this.pages.take());
    if (known < pages.length) this.table.setPages(line, pages, known);
    return line;
  }

  /** Takes pages back from one who holds them. */
  reclaim(pages: readonly number[]): void {
    this.pages.drop(pages);
  }

  /** Takes a released sequence: its line back, and what it holds for one that begins alike. */
  keep(sequence: Sequence): void {
    this.inUse.delete(sequence);
    if (sequence.line !== undefined) this.freeLines.push(sequence.line);
    if (sequence.length > 0) this.idle.push(sequence);
  }

  private begin(tokens: number[], pages: number[]): Sequence {
    const sequence = new Sequence(this, tokens, pages);
    this.inUse.add(sequence);
    return sequence;
  }

  /** Whether `length` tokens of a released sequence are all that it holds: it has no other use then. */
  private isWhole(sequence: Sequence, length: number): boolean {
    return !this.inUse.has(sequence) && sequence.length === length;
  }

  /** A sequence of the first `length` tokens of another, or, where no page is free for the last of them, of whole pages. */
  private share(source: Sequence, length: number): Sequence {
    const { page } = this.shape;
    const filled = length % page;
    const pages = source.pages.slice(0, Math.ceil(length / page));
    const tokens = source.tokens.slice(0, length);
    this.pages.share(pages);
    if (filled > 0) {
      const tail = pages.at(-1)!;
      const copies = () => (this.pages.isShared(tail) ? 1 : 0);
      this.makeRoom(copies);
      // Where a released one had to make room itself, its tail is nobody else's any more.
      if (copies() > 0) {
        pages.pop();
        if (this.pages.left > 0) pages.push(this.copy(tail, filled));
        else this.pages.drop([tail]);
        tokens.length = Math.min(length, pages.length * page);
      }
    }
    return this.begin(tokens, pages);
  }

  /** Gives up a page that is shared for a copy of its own. */
  private copy(shared: number, positions: number): number {
    const own = this.pages.take();
    this.table.copyPage(shared, own, positions);
    this.pages.drop([shared]);
    return own;
  }

  /** Frees pages of released sequences, from the end of the least recently used one, until there are as many as wanted. */
  private makeRoom(wanted: () => number): void {
    while (this.pages.left < wanted() && this.idle.length > 0) {
      const [oldest] = this.idle;
      oldest!.cut((oldest!.pages.length - 1) * this.shape.page);
      if (oldest!.length === 0) this.idle.shift();
    }
  }
}

/**
 * Tokens whose keys and values are in the cache, and the pages that hold them. One owner, until it is released; whole pages
 * may be other sequences' too.
 */
export class Sequence {
  /** The pages that hold its tokens, in order. */
  readonly pages: number[];
  /** Its line in the page table, from the first tokens on. */
  line: number | undefined;
  /** Where they are. */
  readonly cache: KvCache;
  private readonly ids: number[];
  private released = false;

  /** For KvCache alone. */
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
   * Another sequence of the same tokens, which goes its own way: whole pages are shared, a part-filled one is copied.
   * @throws ContextOverflowError when no page is free for that.
   */
  fork(): Sequence {
    this.checkOpen();
    return this.cache.fork(this);
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
    this.cut(length);
  }

  /** As truncate(), of a released one too: for KvCache alone. */
  cut(length: number): void {
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

/** How many tokens both begin with, the last of `like` not counted. */
function sharedLength(tokens: readonly number[], like: readonly number[]): number {
  const most = Math.min(tokens.length, like.length - 1);
  let count = 0;
  while (count < most && tokens[count] === like[count]) count++;
  return count;
}
