/** The pages of a KV cache, and how many sequences hold each: a page is free again when the last of them lets go. */
export class Pages {
  private readonly holders: Uint32Array;
  private readonly free: number[];

  constructor(count: number) {
    this.holders = new Uint32Array(count);
    this.free = countDown(count);
  }

  /** Pages that nobody holds. */
  get left(): number {
    return this.free.length;
  }

  /** A page for one holder, of those that are left. */
  take(): number {
    const page = this.free.pop()!;
    this.holders[page] = 1;
    return page;
  }

  /** Adds a holder to each of the pages. */
  share(pages: readonly number[]): void {
    for (const page of pages) this.holders[page]!++;
  }

  /** Takes a holder from each of the pages. */
  drop(pages: readonly number[]): void {
    for (const page of pages) if (--this.holders[page]! === 0) this.free.push(page);
  }

  /** Whether several hold a page: nobody writes to it then. */
  isShared(page: number): boolean {
    return this.holders[page]! > 1;
  }
}

/** The numbers below `count`, the last of which is 0: what is taken from its end rises. */
export function countDown(count: number): number[] {
  return Array.from({ length: count }, (_, i) => count - 1 - i);
}
