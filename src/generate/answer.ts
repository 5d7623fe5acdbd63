import type { Ahead, LanguageModel } from "../model/language-model.ts";
import type { Sequence } from "../model/sequence.ts";
import type { StreamDecoder } from "../tokenizer/decoder.ts";
import type { Sampler } from "./sampler.ts";
import { StopFilter } from "./stop.ts";

/** "stop": the model ended its answer, or a stop string came; "length": max_tokens, or a full context. */
export type FinishReason = "stop" | "length" | "abort";

export interface GenerationResult {
  /** The answer: every piece that was given out. */
  readonly text: string;
  readonly finish_reason: FinishReason;
  /** The seed that gives the same answer again. */
  readonly seed: number;
  readonly usage: {
    readonly prompt_tokens: number;
    /** Sampled tokens, the one that ended the answer included. */
    readonly completion_tokens: number;
    /** Tokens of the prompt that were still in the KV cache. */
    readonly cached_tokens: number;
  };
  readonly timings: {
    /** From the first pull to the first token; null when none came. */
    readonly time_to_first_token_ms: number | null;
    /** Prompt tokens that were not cached, over the time to the first token. */
    readonly prefill_tokens_per_second: number | null;
    /** Tokens after the first, over the time the model took for them; null when there was but one. */
    readonly decode_tokens_per_second: number | null;
  };
}

/** One answer to be generated. */
export interface Job {
  readonly model: LanguageModel;
  readonly sampler: Sampler;
  readonly prompt: readonly number[];
  /** At least 1. */
  readonly maxTokens: number;
  /** Ids that end the answer. */
  readonly stopIds: ReadonlySet<number>;
  readonly decoder: StreamDecoder;
  readonly stop: readonly string[];
  /** Special strings by id that are no part of the text, but that a stop string may hold. */
  readonly hidden: ReadonlyMap<number, string>;
  readonly seed: number;
  readonly signal: AbortSignal | undefined;
  /** Told of the prompt's tokens that ran, and of those that have to. */
  readonly onPrefill?: ((done: number, total: number) => void) | undefined;
  /** Takes the engine for this answer and returns how to give it back; throws BusyError when it is taken. */
  readonly acquire: () => () => void;
}

/**
 * An answer as it comes: `for await (const piece of stream)` yields text in whole characters. Nothing runs before the
 * first piece is asked for, and then only the few passes that the model keeps ahead of what is read: leaving the loop
 * cancels, as does the signal. It can be iterated once.
 */
export class GenerationStream implements AsyncIterable<string> {
  /**
   * Settles when the iteration ends, however it does; rejects with the error that the iteration throws. It does not
   * start anything: use `complete()` to have the whole answer at once.
   */
  readonly result: Promise<GenerationResult>;
  private readonly job: Job;
  private readonly pieces: AsyncGenerator<string, void>;
  private settle!: { resolve: (result: GenerationResult) => void; reject: (error: unknown) => void };
  private text = "";
  private finish: FinishReason = "abort";
  private sampled = 0;
  private cached = 0;
  private firstMilliseconds = 0;
  private laterMilliseconds = 0;
  /** Once the prompt has run, where the model draws as the sampler would. */
  private ahead: Ahead | undefined;

  constructor(job: Job) {
    this.job = job;
    this.pieces = this.run();
    this.result = new Promise((resolve, reject) => {
      this.settle = { resolve, reject };
    });
    // Whoever iterates has the error from the iteration; an unread `result` must not end the process.
    this.result.catch(() => {});
  }

  [Symbol.asyncIterator](): AsyncIterator<string, void> {
    return {
      next: () => this.pieces.next(),
      return: async () => {
        const end = await this.pieces.return();
        // A generator that never ran has not run its `finally` either.
        this.settle.resolve(this.summary());
        return end;
      },
    };
  }

  /** Generates the whole answer without giving it out piece by piece. */
  async complete(): Promise<GenerationResult> {
    for await (const _ of this);
    return this.result;
  }

  /** Takes the engine and a sequence for decode(), and gives them back however it ends. */
  private async *run(): AsyncGenerator<string, void> {
    const { acquire, model, prompt, signal } = this.job;
    let release: (() => void) | undefined;
    let sequence: Sequence | undefined;
    // Frees the engine also when nobody asks for a piece any more.
    const cancel = () => void this.pieces.return();
    try {
      release = acquire();
      sequence = model.open(prompt);
      this.cached = sequence.length;
      signal?.addEventListener("abort", cancel);
      try {
        yield* this.decode(sequence);
      } finally {
        await this.ahead?.end();
      }
    } catch (error) {
      // What ran before the signal is the answer.
      if (signal?.aborted && error === signal.reason) return;
      // Nobody should build on what a failed pass may have left.
      sequence?.discard();
      this.settle.reject(error);
      throw error;
    } finally {
      // First of all: whatever else fails here, the next answer finds the engine free.
      sequence?.release();
      release?.();
      signal?.removeEventListener("abort", cancel);
      this.settle.resolve(this.summary());
    }
  }

  /**
   * From the prompt's ids to text: each token is sampled, decoded (which holds back unfinished characters) and filtered
   * (which holds back the beginnings of stop strings). The sequence is left with the prompt and all of the answer that
   * ran: not its last token, nor what ran ahead of it.
   */
  private async *decode(sequence: Sequence): AsyncGenerator<string, void> {
    const { sampler, prompt, maxTokens, stopIds, decoder, stop, hidden, signal } = this.job;
    const filter = new StopFilter(stop);
    const seen = new Set(sampler.usesSeen ? prompt : []);
    const next = prompt.slice(this.cached);
    for (let ended: FinishReason | undefined; ended === undefined; ) {
      signal?.throwIfAborted();
      const id = await this.sample(sequence, next, seen);
      if (sampler.usesSeen) seen.add(id);
      next.length = 1;
      next[0] = id;
      const isStop = stopIds.has(id);
      if (isStop) ended = "stop";
      else if (this.sampled >= maxTokens) ended = "length";
      let { text, stopped } = filter.push(isStop ? "" : decoder.push(id), hidden.get(id));
      if (ended && !stopped) {
        const last = filter.push(decoder.end());
        text += last.stopped ? last.text : last.text + filter.end();
        stopped = last.stopped;
      }
      if (stopped) ended = "stop";
      if (ended) this.finish = ended;
      this.text += text;
      if (text) yield text;
    }
  }

  /** The token after `tokens`, and the time that the model takes for it, not the time of whoever reads it. */
  private async sample(sequence: Sequence, tokens: readonly number[], seen: Set<number>): Promise<number> {
    const { model, sampler, maxTokens, signal, onPrefill } = this.job;
    if (this.sampled > 0 && !this.ahead && sampler.want !== "logits") {
      const draws = sampler.draws && { options: sampler.draws, before: this.sampled };
      this.ahead = model.ahead?.(sequence, tokens[0]!, maxTokens - this.sampled, draws);
    }
    if (this.ahead) {
      const id = sampler.accept(await this.ahead.next());
      this.sampled++;
      this.laterMilliseconds += this.ahead.milliseconds;
      return id;
    }
    const start = performance.now();
    const total = tokens.length;
    const onChunk = this.sampled === 0 && onPrefill ? (done: number) => onPrefill(done, total) : undefined;
    const id = sampler.sample(await model.forward(sequence, tokens, sampler.want, signal, onChunk), seen);
    if (this.sampled++ === 0) this.firstMilliseconds = performance.now() - start;
    else this.laterMilliseconds += performance.now() - start;
    return id;
  }

  private summary(): GenerationResult {
    const { prompt, seed } = this.job;
    const perSecond = (tokens: number, milliseconds: number) =>
      (tokens * 1000) / Math.max(milliseconds, 1e-3);
    return {
      text: this.text,
      finish_reason: this.finish,
      seed,
      usage: {
        prompt_tokens: prompt.length,
        completion_tokens: this.sampled,
        cached_tokens: this.cached,
      },
      timings: {
        time_to_first_token_ms: this.sampled > 0 ? this.firstMilliseconds : null,
        prefill_tokens_per_second:
          this.sampled > 0 ? perSecond(prompt.length - this.cached, this.firstMilliseconds) : null,
        decode_tokens_per_second:
          this.sampled > 1 ? perSecond(this.sampled - 1, this.laterMilliseconds) : null,
      },
    };
  }
}
