import type { Penalties } from "../kernels/penalise.ts";
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

/** A sequence in a run ahead, and its token that runs first. */
export interface AheadRow {
  readonly sequence: Sequence;
  readonly token: number;
  /** How its tokens are drawn. Default: the best ones. */
  readonly draws?: Draws | undefined;
  /** What is changed of the logits before: all tokens of the sequence, and this one, were seen. Default: nothing. */
  readonly penalties?: Penalties | undefined;
}

/** Tokens that the model chooses by itself, its passes running ahead of those that are read. */
export interface Ahead {
  /** How long the model took for the tokens that were read last. */
  readonly milliseconds: number;
  /**
   * Reads the next token of each row, with its logit: one candidate each, valid until the next call. The sequences hold the
   * tokens before them from then on. Throws what run() throws, and ContextOverflowError.
   * @param goesOn Whether further passes are to follow. Default true; where false, undefined when none is under way.
   */
  next(goesOn?: boolean): Promise<readonly Candidates[] | undefined>;
  /** Forgets what was not read, before the sequences are released. The model runs no other pass until then. */
  end(): Promise<void>;
}

/** Tokens of one sequence in a pass: `count` of `tokens` from `first` on, which follow what the sequence holds. */
export interface PassPart {
  readonly sequence: Sequence;
  readonly tokens: readonly number[];
  readonly first: number;
  /** At least 1. */
  readonly count: number;
  /** Of how many of its last rows the logits are wanted. */
  readonly drawn: number;
}

/**
 * "prefill" runs many rows; "decode" up to MOST_DRAWN, each with the numbers that it has alone. A token that is chosen by
 * one kind could in rare cases be another by the other, since they sum in other orders: which kind a row runs in, nobody
 * should let depend on chance.
 */
export type PassKind = "prefill" | "decode";

/** A causal language model with a KV cache, as the generate loop sees it. */
export interface LanguageModel {
  /** Tokens that one sequence can hold. */
  readonly contextLength: number;
  /** Ids below this are real; logits of padding rows above it are never returned. */
  readonly tokenCount: number;
  /**
   * A sequence of its own in the KV cache, for tokens that begin like `like`: it holds already what any other one
   * has of them, but for the last. Release it after use.
   */
  open(like?: readonly number[]): Sequence;
  /** Rows that a prefill pass should take, of `left` that are to be run: so many that it does not take long. */
  rowsOf(left: number): number;
  /**
   * Runs one pass: tokens of several sequences, each of which has room for its own, known to be in the vocabulary. Calls
   * for one model follow one another.
   * @returns what is wanted of each drawn row, in their order.
   */
  run(parts: readonly PassPart[], want: Want, kind: PassKind): Promise<readonly Candidates[]>;
  /**
   * Appends the token of each row and goes on with the best token of each pass, up to `most` of them, or with one that is
   * drawn from its candidates, as drawIndex() has it: the tokens that decode passes would give one after the other. Throws
   * OptionError for a token that is not in the vocabulary, and ContextOverflowError, both before anything changes. Undefined
   * where the model cannot run so many rows ahead; a model that always waits for the host has none.
   */
  ahead?(rows: readonly AheadRow[], most: number): Promise<Ahead | undefined>;
}
