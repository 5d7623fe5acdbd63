import { ContextOverflowError } from "../errors.ts";
import type { Candidates, LanguageModel, PassKind } from "../model/language-model.ts";
import type { Sequence } from "../model/sequence.ts";
import { type BeamRules, BeamSearch, type Hypothesis } from "./beams.ts";
import type { Sampling } from "./options.ts";
import { indexOfBest } from "./sampler.ts";
import type { Scheduler } from "./scheduler.ts";
import { shareOut } from "./share.ts";

/** An answer that is searched for. */
export interface Search extends BeamRules {
  readonly scheduler: Scheduler;
  /** At least one id. */
  readonly prompt: readonly number[];
  readonly penalties: Pick<Sampling, "repetition_penalty" | "suppress_tokens">;
  /** How many answers are wanted, at most `num_beams`. */
  readonly count: number;
  readonly onPrefill?: ((done: number, total: number) => void) | undefined;
}

/** What a search came to. */
export interface Found {
  /** The best first; none when it ended in the prompt. */
  readonly hypotheses: readonly Hypothesis[];
  /** Tokens of the prompt that were in the cache. */
  readonly cached: number;
  /** Tokens that each beam was given. */
  readonly steps: number;
  /** From the beginning to the first of them. */
  readonly firstMilliseconds: number;
  /** What the model took for the others. */
  readonly laterMilliseconds: number;
}

/**
 * Searches for the best answers: the prompt once, then a row of a pass for each beam. Beams share the pages of what they have in
 * common. Every pass is a turn of its own, so that others are served in between; searches follow one another. Others give way
 * where the cache has no room for all; where it has none for the beams alone, they end as at `maxTokens`. When the signal comes, the
 * best so far stays in the cache. When the device is lost, it begins again.
 * @param over Ends it.
 * @throws BusyError, LogitsError, and ContextOverflowError where the cache has no room for a second token of every beam.
 */
export async function searchBeams(asked: Search, over: AbortSignal): Promise<Found> {
  const { scheduler, count } = asked;
  let beams = new Beams(asked);
  const guest = scheduler.places.guests.enter();
  let broken = false;
  try {
    const end = aborted(over);
    await Promise.race([guest.turn, end]);
    while (!over.aborted && !beams.search.isDone) {
      let runs = false;
      const turn = scheduler.run(async () => {
        runs = true;
        if (over.aborted) return;
        // Another one has nothing of it in its cache, whoever found that the device was lost.
        if (beams.model !== scheduler.model) {
          beams.close(true);
          beams = new Beams(asked);
        }
        await beams.advance();
      });
      try {
        // A turn that has not begun does nothing any more when it comes.
        await Promise.race([turn, end]);
        if (runs) await turn;
      } catch (error) {
        const recovered = await Promise.race([scheduler.recovers(error), end]);
        if (recovered === false) throw error;
      }
    }
    scheduler.noteProgress();
    const { search, cached, steps, firstMilliseconds, laterMilliseconds } = beams;
    const hypotheses = steps > 0 ? search.best(count) : [];
    return { hypotheses, cached, steps, firstMilliseconds, laterMilliseconds };
  } catch (error) {
    broken = !(error instanceof ContextOverflowError);
    if (broken) throw error;
    throw new ContextOverflowError(
      `The KV cache has no room for ${asked.num_beams} beams behind the prompt's ${asked.prompt.length} tokens; ask for fewer num_beams, or load the model with more cacheTokens (--kv-tokens).`,
      { cause: error },
    );
  } finally {
    beams.close(broken);
    guest.leave();
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** The beams of a search, and where in the cache they are: each sequence lacks the last token of its beam. */
class Beams {
  readonly search: BeamSearch;
  readonly model: LanguageModel;
  cached = 0;
  steps = 0;
  firstMilliseconds = 0;
  laterMilliseconds = 0;
  private readonly began = performance.now();
  private readonly asked: Search;
  /** As `search.beams`; none before the prompt is begun. */
  private sequences: Sequence[] = [];

  constructor(asked: Search) {
    this.asked = asked;
    this.search = new BeamSearch(asked);
    this.model = asked.scheduler.model;
  }

  /** Runs a chunk of the prompt, or a token of each beam. */
  async advance(): Promise<void> {
    try {
      await (this.steps > 0 ? this.step() : this.prefill());
    } catch (error) {
      // A full cache ends a search as a full context ends an answer, if it came to anything.
      if (!(error instanceof ContextOverflowError) || this.steps < 2) throw error;
      this.search.cut();
    }
  }

  private async prefill(): Promise<void> {
    const { model } = this;
    const { prompt, onPrefill } = this.asked;
    if (this.sequences.length === 0) {
      const sequence = model.open(prompt);
      this.sequences = [sequence];
      this.cached = sequence.length;
    }
    const [sequence] = this.sequences;
    const first = sequence!.length;
    const left = prompt.length - first;
    this.withRoom(() => sequence!.reserve(left));
    const chunk = left > 1 ? shareOut([left], model.rowsOf(left))[0]! : 1;
    const drawn = chunk === left ? 1 : 0;
    const parts = [{ sequence: sequence!, tokens: prompt, first, count: chunk, drawn }];
    await this.run(parts, left > 1 ? "prefill" : "decode");
    onPrefill?.(sequence!.length - this.cached, prompt.length - this.cached);
  }

  /** Ends the use of the cache. What the best answer begins with stays there, unless it is `broken`. */
  close(broken: boolean): void {
    const [best] = this.search.best(1);
    const wanted = [...this.asked.prompt, ...best!.tokens];
    const shared = ({ tokens }: Sequence) => {
      const end = tokens.findIndex((id, i) => id !== wanted[i]);
      return end < 0 ? tokens.length : end;
    };
    const kept = broken ? undefined : this.sequences.toSorted((a, b) => shared(b) - shared(a))[0];
    for (const sequence of this.sequences) {
      if (sequence === kept) sequence.truncate(shared(sequence));
      else sequence.discard();
    }
    kept?.release();
  }

  private async step(): Promise<void> {
    for (const sequence of this.sequences) this.withRoom(() => sequence.reserve(1));
    const parts = this.search.beams.map(({ tokens }, i) => ({
      sequence: this.sequences[i]!,
      tokens,
      first: tokens.length - 1,
      count: 1,
      drawn: 1,
    }));
    await this.run(parts, "decode");
  }

  /** Runs a pass, and if logits come of it, goes on with the beams that they are for. */
  private async run(parts: Parameters<LanguageModel["run"]>[0], kind: PassKind): Promise<void> {
    const { model } = this;
    const { penalties } = this.asked;
    const started = performance.now();
    const rows = await model.run(parts, "logits", kind);
    if (rows.length === 0) return;
    this.search.step(rows.map((row, i) => logProbabilities(row, this.sequences[i]!.tokens, penalties)));
    if (this.steps++ === 0) this.firstMilliseconds = performance.now() - this.began;
    else this.laterMilliseconds += performance.now() - started;
    if (!this.search.isDone) this.follow(this.search.beams.map(({ parent }) => parent));
  }

  /** Has the sequences follow the beams: each that goes on is taken over by the first beam that does so, and forked for others. */
  private follow(parents: readonly number[]): void {
    const before = this.sequences;
    const isFirst = (parent: number, i: number) => parents.indexOf(parent) === i;
    // First of all: what nobody goes on with makes room for the others.
    for (const [i, sequence] of before.entries()) if (!parents.includes(i)) sequence.discard();
    this.sequences = before.filter((_, i) => parents.includes(i));
    const after: Sequence[] = [];
    for (const [i, parent] of parents.entries()) {
      const sequence = isFirst(parent, i) ? before[parent]! : this.withRoom(() => before[parent]!.fork());
      after.push(sequence);
      if (!isFirst(parent, i)) this.sequences.push(sequence);
    }
    this.sequences = after;
  }

  /** Takes room in the cache, if need be that of others. @throws ContextOverflowError where there is none without them. */
  private withRoom<Taken>(take: () => Taken): Taken {
    for (;;) {
      try {
        return take();
      } catch (error) {
        if (!(error instanceof ContextOverflowError && this.asked.scheduler.places.yieldOne())) throw error;
      }
    }
  }
}

/**
 * The logits of a row (all ids in order) as natural log probabilities, in float64. As in transformers, the penalty and what is
 * suppressed change those and not the logits, so that they add up to less than 1.
 * @param seen The ids so far, the prompt's too.
 * @throws LogitsError when a logit is NaN or infinite, or all are -Infinity.
 */
function logProbabilities(
  { ids, logits }: Candidates,
  seen: readonly number[],
  { repetition_penalty: penalty, suppress_tokens: suppressed = new Set() }: Search["penalties"],
): Float64Array {
  const highest = logits[indexOfBest(logits, ids)]!;
  let total = 0;
  // By index: a loop over the values themselves takes twice as long.
  for (let id = 0; id < logits.length; id++) total += Math.exp(logits[id]! - highest);
  const log = highest + Math.log(total);
  const row = new Float64Array(logits.length);
  for (let id = 0; id < row.length; id++) row[id] = logits[id]! - log;
  // A log probability is not positive: penalised, it is lower.
  if (penalty !== 1) for (const id of new Set(seen)) row[id]! *= penalty;
  for (const id of suppressed) row[id] = Number.NEGATIVE_INFINITY;
  return row;
}
