/** Tokens that have to stand in the same order before what is copied: fewer are found by chance too often. */
const MATCH = 3;
/** Passes with drafts that tell whether they pay. */
const TRIALS = 4;
/** Tokens without drafts after a trial that did not pay; twice as many after the next. */
const REST = 32;
/** How much of a mean the newest value is. */
const NEWEST = 0.25;

/**
 * Drafts what may come next, for text that copies from its prompt or repeats itself: what stood after the last tokens where
 * they stood before. A pass that runs drafts along costs more than one of a token alone, and gives as many tokens more as
 * are confirmed: where that does not pay by the time that passes take, it rests.
 */
export class Lookup {
  private readonly most: number;
  /** Tokens a millisecond of passes with drafts, and without. */
  private drafting = 0;
  private plain = 0;
  private trials = 0;
  private rest = 0;
  private nextRest = REST;

  /** @param most Tokens of a draft. */
  constructor(most: number) {
    this.most = most;
  }

  /** Whether it does not draft for the time being. */
  get isResting(): boolean {
    return this.rest > 0;
  }

  /** At most `room` ids that may come after `tokens`. */
  draft(tokens: readonly number[], room: number): readonly number[] {
    if (this.isResting) return [];
    const end = tokens.length - MATCH;
    for (let at = end - 1; at >= 0; at--) {
      let same = 0;
      while (same < MATCH && tokens[at + same] === tokens[end + same]) same++;
      if (same === MATCH)
        return tokens.slice(at + MATCH, at + MATCH + Math.max(0, Math.min(this.most, room)));
    }
    return [];
  }

  /** Takes note of a pass that gave `tokens`, after a draft of so many. */
  note(drafted: number, tokens: number, milliseconds: number): void {
    this.rest = Math.max(0, this.rest - tokens);
    const rate = tokens / Math.max(milliseconds, 1e-3);
    if (drafted === 0) {
      this.plain = mean(this.plain, rate);
      return;
    }
    this.drafting = mean(this.drafting, rate);
    if (++this.trials < TRIALS) return;
    this.trials = 0;
    if (this.drafting >= this.plain) {
      this.nextRest = REST;
      return;
    }
    this.rest = this.nextRest;
    this.nextRest *= 2;
    this.drafting = 0;
  }
}

function mean(known: number, newest: number): number {
  return known === 0 ? newest : known + NEWEST * (newest - known);
}
