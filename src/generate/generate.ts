import type { LanguageModel } from "../model/language-model.ts";
import type { Sequence } from "../model/sequence.ts";
import type { Sampler } from "./sampler.ts";

/** "stop": the model ended its answer, or a stop string came; "length": max_tokens, or a full context. */
export type FinishReason = "stop" | "length" | "abort";

export interface Limits {
  /** Ids that end the answer. */
  readonly stopIds: ReadonlySet<number>;
  /** At least 1. */
  readonly maxTokens: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * Yields the token ids after `prompt`, the one that ends the answer included, each as soon as it is sampled; returns
 * why it ended. `sequence` holds a beginning of the prompt. Stopping to ask for ids cancels: the sequence then holds the
 * prompt and the ids yielded but for the last.
 */
export async function* generate(
  model: LanguageModel,
  sequence: Sequence,
  sampler: Sampler,
  prompt: readonly number[],
  { stopIds, maxTokens, signal }: Limits,
): AsyncGenerator<number, FinishReason> {
  const seen = new Set(sampler.usesSeen ? prompt : []);
  try {
    let candidates = await model.forward(sequence, prompt.slice(sequence.length), sampler.want, signal);
    const next = [0];
    for (let count = 1; ; count++) {
      const id = sampler.sample(candidates, seen);
      yield id;
      if (stopIds.has(id)) return "stop";
      if (count >= maxTokens) return "length";
      if (sampler.usesSeen) seen.add(id);
      signal?.throwIfAborted();
      next[0] = id;
      candidates = await model.forward(sequence, next, sampler.want, signal);
    }
  } catch (error) {
    if (signal?.aborted && error === signal.reason) return "abort";
    throw error;
  }
}
