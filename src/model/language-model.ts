import { TOP_K } from "../kernels/top_k.ts";

/** What the caller needs from the logits of the last token: less to read back from the GPU, the less it asks. */
export type Want = "argmax" | "candidates" | "logits";

/**
 * Logits of the last token, by id. For "argmax" the best one; for "candidates" the MAX_CANDIDATES best, by falling
 * logit, ties by rising id; for "logits" all ids below the tokenizer's length, in id order.
 */
export interface Candidates {
  readonly ids: Uint32Array;
  readonly logits: Float32Array;
}

/** How many candidates the top-k kernel returns. */
export const MAX_CANDIDATES: number = TOP_K;

/** A causal language model with a KV cache, as the generate loop sees it. */
export interface LanguageModel {
  /** Tokens the KV cache can hold. */
  readonly contextLength: number;
  /** Ids below this are real; logits of padding rows above it are never returned. */
  readonly tokenCount: number;
  /** Tokens now in the KV cache. */
  readonly position: number;
  /** Forgets every token from `position` on. Throws when it is above the present position. */
  rewind(position: number): void;
  /**
   * Appends tokens (at least one) to the cache, in chunks when there are many, and reads the logits of the last.
   * Throws ContextOverflowError before anything changes when they do not fit, and the signal's reason when aborted
   * between two chunks: the chunks that ran stay in the cache.
   */
  forward(tokens: readonly number[], want: Want, signal?: AbortSignal): Promise<Candidates>;
}
