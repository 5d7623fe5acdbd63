import { LogitsError } from "../errors.ts";
import type { BeamOptions } from "./options.ts";

/** What a search goes by. */
export interface BeamRules extends Pick<BeamOptions, "num_beams" | "length_penalty" | "early_stopping"> {
  /** Tokens of the longest answer, at least 1. */
  readonly maxTokens: number;
  /** Ids that end an answer. */
  readonly stopIds: ReadonlySet<number>;
}

/** An answer that is under way. */
interface Beam {
  readonly tokens: readonly number[];
  /** The sum of its tokens' log probabilities. */
  readonly sum: number;
  /** The beam of the step before that it goes on from. */
  readonly parent: number;
}

/** An answer that ended, or as far as it came. */
export interface Hypothesis {
  /** The id that ended it included. */
  readonly tokens: readonly number[];
  /** Log probability / tokens ** length_penalty. */
  readonly score: number;
  /** What ended it: one of `stopIds`, or `maxTokens`; undefined while it is under way. */
  readonly end: "stop" | "length" | undefined;
}

interface Candidate {
  readonly beam: number;
  readonly id: number;
  readonly sum: number;
}

/**
 * A beam search: log probabilities in, answers out. The rules are those of transformers since 4.50: of all beams and tokens each
 * step takes the most likely as candidates, so many that `num_beams` of them go on whichever end. A candidate among the first
 * `num_beams` that ends, by its id or because it is the longest there may be, is an answer; one behind them that ends is dropped.
 * The best `num_beams` answers are kept. Of equals the lower beam comes first, then the lower id; of equal answers the older one.
 */
export class BeamSearch {
  /** Those under way, the most likely first: at first the prompt. */
  beams: readonly Beam[] = [{ tokens: [], sum: 0, parent: 0 }];
  private readonly rules: BeamRules;
  /** Tokens of each beam. */
  private length = 0;
  /** The best first. */
  private readonly ended: Hypothesis[] = [];

  constructor(rules: BeamRules) {
    this.rules = rules;
  }

  /** Whether nothing goes on, or what goes on is not expected to be better than what ended. */
  get isDone(): boolean {
    const [best] = this.beams;
    if (!best) return true;
    if (this.ended.length < this.rules.num_beams) return false;
    return this.rules.early_stopping || this.score(best.sum) <= this.ended.at(-1)!.score;
  }

  /**
   * Adds a token to each beam.
   * @param rows Of each beam the log probabilities by id; -Infinity for what may not come.
   * @throws LogitsError when nothing may come.
   */
  step(rows: readonly Float64Array[]): void {
    const { num_beams: most, maxTokens, stopIds } = this.rules;
    const candidates = this.candidates(rows, most * Math.max(2, 1 + stopIds.size));
    if (candidates.length === 0) {
      throw new LogitsError(`Of ${rows[0]!.length} tokens none may come next; there is none to choose.`);
    }
    this.length++;
    const going: Beam[] = [];
    for (const [rank, { beam, id, sum }] of candidates.entries()) {
      const isStop = stopIds.has(id);
      const tokens = () => [...this.beams[beam]!.tokens, id];
      if (isStop || this.length === maxTokens) {
        if (rank < most)
          this.end({ tokens: tokens(), score: this.score(sum), end: isStop ? "stop" : "length" });
      } else if (going.length < most) going.push({ tokens: tokens(), sum, parent: beam });
    }
    this.beams = going;
  }

  /** Ends what is under way, as if answers could be no longer. */
  cut(): void {
    for (const { tokens, sum } of this.beams) this.end({ tokens, score: this.score(sum), end: "length" });
    this.beams = [];
  }

  /** The best `count` answers; behind those that ended, the ones under way. */
  best(count: number): Hypothesis[] {
    const going = this.beams.map(({ tokens, sum }) => ({ tokens, score: this.score(sum), end: undefined }));
    return [...this.ended, ...going].slice(0, count);
  }

  private score(sum: number): number {
    return sum / Math.max(this.length, 1) ** this.rules.length_penalty;
  }

  private end(hypothesis: Hypothesis): void {
    insert(this.ended, hypothesis, this.rules.num_beams, (one) => one.score);
  }

  private candidates(rows: readonly Float64Array[], count: number): Candidate[] {
    const best: Candidate[] = [];
    for (const [beam, row] of rows.entries()) {
      const before = this.beams[beam]!.sum;
      for (let id = 0; id < row.length; id++) {
        const sum = before + row[id]!;
        // Most are no candidates: nothing is made of them.
        const least = best.length < count ? Number.NEGATIVE_INFINITY : best[count - 1]!.sum;
        if (sum > least) insert(best, { beam, id, sum }, count, (one) => one.sum);
      }
    }
    return best;
  }
}

/** Puts one into a list of at most `most`, by falling rank, behind its equals. */
function insert<Item>(list: Item[], item: Item, most: number, rankOf: (item: Item) => number): void {
  const rank = rankOf(item);
  let at = list.length;
  while (at > 0 && rankOf(list[at - 1]!) < rank) at--;
  list.splice(at, 0, item);
  list.length = Math.min(list.length, most);
}
