import { MinHeap } from "./heap.ts";
import type { Merges } from "./vocabulary.ts";

/** Words are shorter than this; longer stretches get memory of their own, which goes with them. */
const SMALL = 256;

/** Places in a text, of which a JavaScript string has fewer than 2^30; ranks stay below 2^23, so that a key is exact. */
const PLACES = 2 ** 30;

/** The links of a stretch of symbols while they merge; all indices count from its start, -1 is none. */
interface Links {
  readonly next: Int32Array;
  readonly previous: Int32Array;
  /** At a symbol: which merge it and its right neighbour would make, as an index into `merges.merged`. */
  readonly candidate: Int32Array;
  /** Candidates by rank, then place: `rank * PLACES + place`. */
  readonly heap: MinHeap;
}

/**
 * Byte pair encoding as SentencePiece's bpe_model.cc does it: of all neighbours that can merge, the pair of the best
 * rank goes first, of equals the leftmost. n symbols cost n log n.
 */
export class Merger {
  private readonly merges: Merges;
  private readonly small = newLinks(SMALL);
  private readonly onCandidate: ((piece: number, left: number, right: number) => void) | undefined;

  /** `onCandidate` is told of every pair that could merge, in the order in which SentencePiece looks at them. */
  constructor(merges: Merges, onCandidate?: (piece: number, left: number, right: number) => void) {
    this.merges = merges;
    this.onCandidate = onCandidate;
  }

  /** Merges `symbols[start .. end)` in place, closes the gaps, and returns the new end. */
  merge(symbols: Int32Array, start: number, end: number): number {
    const count = end - start;
    if (count < 2) return end;
    const { merged, ranks } = this.merges;
    const links = count <= SMALL ? this.small : newLinks(count);
    const { next, previous, candidate, heap } = links;
    for (let place = 0; place < count; place++) {
      previous[place] = place - 1;
      next[place] = place + 1 < count ? place + 1 : -1;
    }
    candidate[count - 1] = -1;
    for (let place = 0; place + 1 < count; place++) this.consider(symbols, start, links, place);

    while (heap.size > 0) {
      const key = heap.pop();
      const rank = Math.floor(key / PLACES);
      const left = key - rank * PLACES;
      // A candidate made before its symbols changed is stale. One whose symbols changed into a pair of the same rank
      // is not told apart: that pair's own key is the same number, so it is due now as well.
      const index = candidate[left]!;
      if (index < 0 || ranks[index] !== rank) continue;

      const right = next[left]!;
      const after = next[right]!;
      symbols[start + left] = merged[index]!;
      next[left] = after;
      candidate[left] = -1;
      candidate[right] = -1;
      if (previous[left]! >= 0) this.consider(symbols, start, links, previous[left]!);
      if (after >= 0) {
        previous[after] = left;
        this.consider(symbols, start, links, left);
      }
    }

    let out = start;
    for (let place = 0; place >= 0; place = next[place]!) symbols[out++] = symbols[start + place]!;
    return out;
  }

  /** Notes which merge the symbol at `place` and its right neighbour would make. */
  private consider(symbols: Int32Array, start: number, links: Links, place: number): void {
    const left = symbols[start + place]!;
    const right = symbols[start + links.next[place]!]!;
    const index = this.merges.pairs.get(left, right);
    links.candidate[place] = index;
    if (index < 0) return;
    links.heap.push(this.merges.ranks[index]! * PLACES + place);
    this.onCandidate?.(this.merges.merged[index]!, left, right);
  }
}

/** A merge takes one candidate and brings at most two, so that n symbols never have 2n candidates at a time. */
function newLinks(count: number): Links {
  return {
    next: new Int32Array(count),
    previous: new Int32Array(count),
    candidate: new Int32Array(count),
    heap: new MinHeap(2 * count),
  };
}
