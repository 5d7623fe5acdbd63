import type { PrefixCache } from "./prefix.ts";
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
 * why it ended. Stopping to ask for ids cancels: the cache then holds the prompt and the ids yielded but for the last.
 */
export async function* generate(
  cache: PrefixCache,
  sampler: Sampler,
  prompt: readonly number[],
  { stopIds, maxTokens, signal }: Limits,
): AsyncGenerator<number, FinishReason> {
  const seen = new Set(sampler.usesSeen ? prompt : []);
  try {
    let candidates = await cache.prefill(prompt, sampler.want, signal);
    for (let count = 1; ; count++) {
      const id = sampler.sample(candidates, seen);
      yield id;
      if (stopIds.has(id)) return "stop";
      if (count >= maxTokens) return "length";
      if (sampler.usesSeen) seen.add(id);
      signal?.throwIfAborted();
      candidates = await cache.append([id], sampler.want, signal);
    }
  } catch (error) {
    if (signal?.aborted && error === signal.reason) return "abort";
    throw error;
  }
}
