import type { StreamDecoder } from "../tokenizer/decoder.ts";
import { type FinishReason, type FoundAnswer, type GenerationResult, PulledAnswer } from "./answer-stream.ts";
import type { Hypothesis } from "./beams.ts";
import type { Scheduler } from "./scheduler.ts";
import { type Found, type Search, searchBeams } from "./search.ts";
import { type Released, StopFilter } from "./stop.ts";
import type { Request, Ticket } from "./ticket.ts";

/** One answer to be generated. */
export interface Job extends Request {
  readonly scheduler: Scheduler;
  /** By which its ids become text: a new one each time. */
  readonly decoder: () => StreamDecoder;
  /** Where it is searched for: how. */
  readonly search?: Search | undefined;
  readonly stop: readonly string[];
  /** Special strings by id that are no part of the text, but that a stop string may hold. */
  readonly hidden: ReadonlyMap<number, string>;
  readonly seed: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * An answer as it comes: `for await (const piece of stream)` yields text in whole characters. Nothing runs before the
 * first piece is asked for, and then only a few passes ahead of what is read: leaving the loop cancels, as does the signal.
 * It can be iterated once.
 */
export class GenerationStream extends PulledAnswer {
  private readonly job: Job;
  private readonly pieces: AsyncGenerator<string, void>;
  private text = "";
  private finish: FinishReason = "abort";
  private sampled = 0;
  private firstMilliseconds = 0;
  private laterMilliseconds = 0;
  private ticket: Ticket | undefined;
  private found: Found | undefined;
  private sequences: readonly FoundAnswer[] | undefined;
  /** Ends a search. */
  private readonly over = new AbortController();

  constructor(job: Job) {
    super();
    this.job = job;
    this.pieces = this.run();
  }

  [Symbol.asyncIterator](): AsyncIterator<string, void> {
    return {
      next: () => this.pieces.next(),
      return: async () => {
        this.over.abort();
        const end = await this.pieces.return();
        // A generator that never ran has not run its `finally` either.
        this.settle.resolve(this.summary());
        return end;
      },
    };
  }

  /** Puts the request into the scheduler's hands for decode(), and takes it back however that ends. */
  private async *run(): AsyncGenerator<string, void> {
    const { scheduler, search, signal } = this.job;
    const cancel = () => {
      this.ticket?.fail(signal!.reason);
      this.over.abort();
      // Also when nobody asks for a piece any more.
      void this.pieces.return();
    };
    try {
      signal?.throwIfAborted();
      if (!search) this.ticket = scheduler.submit(this.job);
      signal?.addEventListener("abort", cancel);
      yield* this.ticket ? this.decode(this.ticket) : this.search(search!);
    } catch (error) {
      // What ran before the signal is the answer.
      if (signal?.aborted && error === signal.reason) return;
      this.settle.reject(error);
      throw error;
    } finally {
      // First of all: whatever else fails here, others find its place free.
      if (this.ticket) await scheduler.close(this.ticket);
      signal?.removeEventListener("abort", cancel);
      this.settle.resolve(this.summary());
    }
  }

  /** The text of tokens as they are drawn. */
  private async *decode(ticket: Ticket): AsyncGenerator<string, void> {
    const { maxTokens, stopIds, signal } = this.job;
    const read = reader(this.job);
    for (let ended: FinishReason | undefined; ended === undefined; ) {
      signal?.throwIfAborted();
      const id = await this.next(ticket);
      if (stopIds.has(id)) ended = "stop";
      else if (this.sampled >= maxTokens) ended = "length";
      const { text, stopped } = read(id, ended !== undefined);
      if (stopped) ended = "stop";
      if (ended) this.finish = ended;
      this.text += text;
      if (text) yield text;
    }
  }

  /** The text of the best that a search finds, when it ends. */
  private async *search(search: Search): AsyncGenerator<string, void> {
    this.found = await searchBeams(search, this.over.signal);
    const { hypotheses, firstMilliseconds, laterMilliseconds } = this.found;
    this.sampled = hypotheses.reduce((sum, { tokens }) => sum + tokens.length, 0);
    this.firstMilliseconds = firstMilliseconds;
    this.laterMilliseconds = laterMilliseconds;
    this.sequences = hypotheses.map((hypothesis) => this.show(hypothesis));
    const [best] = this.sequences;
    if (!best) return;
    if (!this.over.signal.aborted) this.finish = best.finish_reason;
    this.text = best.text;
    if (best.text) yield best.text;
  }

  private show({ tokens, score, end }: Hypothesis): FoundAnswer {
    const read = reader(this.job);
    let text = "";
    for (const [i, id] of tokens.entries()) {
      const last = read(id, i === tokens.length - 1);
      text += last.text;
      if (last.stopped) return { text, score, finish_reason: "stop" };
    }
    return { text, score, finish_reason: end ?? "abort" };
  }

  /** The next token, and the time that the model took for it, not the time of whoever reads it. */
  private async next(ticket: Ticket): Promise<number> {
    const start = performance.now();
    const { id, milliseconds } = await ticket.next();
    if (this.sampled++ === 0) this.firstMilliseconds = performance.now() - start;
    else this.laterMilliseconds += milliseconds;
    return id;
  }

  private summary(): GenerationResult {
    const { prompt, seed } = this.job;
    const { cached = 0 } = this.found ?? this.ticket ?? {};
    const steps = this.found?.steps ?? this.sampled;
    const perSecond = (tokens: number, milliseconds: number) =>
      (tokens * 1000) / Math.max(milliseconds, 1e-3);
    return {
      text: this.text,
      finish_reason: this.finish,
      ...(this.sequences && { sequences: this.sequences }),
      seed,
      usage: {
        prompt_tokens: prompt.length,
        completion_tokens: this.sampled,
        cached_tokens: cached,
      },
      timings: {
        time_to_first_token_ms: this.sampled > 0 ? this.firstMilliseconds : null,
        prefill_tokens_per_second:
          this.sampled > 0 ? perSecond(prompt.length - cached, this.firstMilliseconds) : null,
        decode_tokens_per_second: steps > 1 ? perSecond(steps - 1, this.laterMilliseconds) : null,
      },
    };
  }
}

/**
 * From ids to text, one after the other: each is decoded (which holds back unfinished characters) and filtered (which holds
 * back the beginnings of stop strings, but for the last one). After `stopped` there is nothing more to read.
 */
function reader({
  decoder: makeDecoder,
  stop,
  hidden,
  stopIds,
}: Job): (id: number, isLast: boolean) => Released {
  const decoder = makeDecoder();
  const filter = new StopFilter(stop);
  return (id, isLast) => {
    const piece = filter.push(stopIds.has(id) ? "" : decoder.push(id), hidden.get(id));
    if (!isLast || piece.stopped) return piece;
    const { text, stopped } = filter.push(decoder.end());
    return { text: piece.text + text + (stopped ? "" : filter.end()), stopped };
  };
}
