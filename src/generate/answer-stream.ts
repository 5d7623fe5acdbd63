/** An answer of a beam search. */
export interface FoundAnswer {
  readonly text: string;
  /** Log probability / tokens ** length_penalty, of all its tokens: those behind a stop string too. */
  readonly score: number;
  readonly finish_reason: FinishReason;
}

/** "stop": the model ended its answer, or a stop string came; "length": max_tokens, or a full context, or for the beams of a search a full cache. */
export type FinishReason = "stop" | "length" | "abort";

export interface GenerationResult {
  /** The answer: every piece that was given out. */
  readonly text: string;
  readonly finish_reason: FinishReason;
  /** Of a beam search the `num_return_sequences` best answers, the best first; fewer when it was ended early. */
  readonly sequences?: readonly FoundAnswer[];
  /** The seed that gives the same answer again. */
  readonly seed: number;
  readonly usage: {
    readonly prompt_tokens: number;
    /** Sampled tokens, the one that ended the answer included; of a beam search those of all `sequences`. */
    readonly completion_tokens: number;
    /** Tokens of the prompt that were still in the KV cache. */
    readonly cached_tokens: number;
  };
  readonly timings: {
    /** From the first pull to the first token, which a beam search gives out at its end only; null when none came. */
    readonly time_to_first_token_ms: number | null;
    /** Prompt tokens that were not cached, over the time to the first token, waiting included. */
    readonly prefill_tokens_per_second: number | null;
    /** Tokens after the first (of a beam search, of one beam), over the time the model took for them; null when there was but one. */
    readonly decode_tokens_per_second: number | null;
  };
}

/** What an answer is to whoever reads it, here or in a page whose engine runs in a worker. */
export interface AnswerStream extends AsyncIterable<string> {
  /**
   * Settles when the iteration ends, however it does; rejects with the error that the iteration throws. It does not
   * start anything: use `complete()` to have the whole answer at once.
   */
  readonly result: Promise<GenerationResult>;
  /** The whole answer at once. */
  complete(): Promise<GenerationResult>;
}

/** What is the same of every answer, wherever its pieces come from. */
export abstract class PulledAnswer implements AnswerStream {
  readonly result: Promise<GenerationResult>;
  protected settle!: { resolve: (result: GenerationResult) => void; reject: (error: unknown) => void };

  constructor() {
    this.result = new Promise((resolve, reject) => {
      this.settle = { resolve, reject };
    });
    // Whoever iterates has the error from the iteration; an unread `result` must not end the process.
    this.result.catch(() => {});
  }

  abstract [Symbol.asyncIterator](): AsyncIterator<string, void>;

  async complete(): Promise<GenerationResult> {
    for await (const _ of this);
    return this.result;
  }
}
