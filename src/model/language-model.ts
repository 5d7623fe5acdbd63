import type { DrawOptions } from "../kernels/sample.ts";
import { TOP_K } from "../kernels/topk.ts";
import type { Sequence } from "./sequence.ts";

/** What the caller needs from the logits of the last token: less to read back from the GPU, the less it asks. */
export type Want = "argmax" | "candidates" | "logits";

/**
 * Logits of the last token, by id. For "argmax" the best one; for "candidates" the MAX_CANDIDATES best, by falling
 * logit, ties by rising id; for "logits" all ids below the tokenizer's length, in id order. Valid until the model's next pass.
 */
export interface Candidates {
  readonly ids: Uint32Array;
  readonly logits: Float32Array;
}

/** How many candidates the top-k kernel returns. */
export const MAX_CANDIDATES: number = TOP_K;

/** How the model draws tokens from the best candidates. */
export interface Draws {
  readonly options: DrawOptions;
  /** Draws of this seed before the first. */
  readonly before: number;
}

/** Tokens that the model chooses by itself, its passes running ahead of those that are read. */
export interface Ahead {
  /** How long the model took for the token that was read last. */
  readonly milliseconds: number;
  /**
   * Reads the next token, with its logit: one candidate, valid until the next call. The sequence holds the token before
   * it from then on. Throws what forward() throws.
   */
  next(): Promise<Candidates>;
  /** Forgets what was not read, before the sequence is released. The model runs no other pass until then. */
  end(): Promise<void>;
}

/** A causal language model with a KV cache, as the generate loop sees it. */
export interface LanguageModel {
  /** Tokens that one sequence can hold. */
  readonly contextLength: number;
  /** Ids below this are real; logits of padding rows above it are never returned. */
  readonly tokenCount: number;
  /**
   * A sequence of its own in the KV cache, for tokens that begin like `like`: it holds already what an earlier one left
   * of them, but for the last. Release it after use.
   */
  open(like?: readonly number[]): Sequence;
  /**
   * Appends tokens (at least one) to a sequence, in chunks when there are many, and reads the logits of the last. Calls
   * for one model follow one another; of which sequence, does not matter.
   * Throws ContextOverflowError before anything changes when they do not fit, and the signal's reason when aborted
   * between two chunks: the chunks that ran stay in the sequence.
   * @param onChunk Called after each chunk with the tokens that ran so far.
   */
  forward(
    sequence: Sequence,
    tokens: readonly number[],
    want: Want,
    signal?: AbortSignal,
    onChunk?: (done: number) => void,
  ): Promise<Candidates>;
  /**
   * Appends `token` and goes on with the best token of each pass, up to `most` of them: the tokens that forward() would
   * give one after the other for "argmax"; or with one that is drawn from its "candidates", as drawIndex() has it. Throws OptionError for a token that is not in the vocabulary, and
   * ContextOverflowError, both before anything changes. A model that always waits for the host has none.
   */
  ahead?(sequence: Sequence, token: number, most: number, draws?: Draws): Ahead;
}
