import type { Candidates, LanguageModel, Want } from "../model/language-model.ts";

/** Knows which tokens the model's KV cache holds, so that a prompt that begins with them costs only its rest. */
export class PrefixCache {
  private readonly model: LanguageModel;
  private tokens: number[] = [];

  constructor(model: LanguageModel) {
    this.model = model;
  }

  /** How many tokens at the beginning of `prompt` need not run again; never all, as the last one gives the logits. */
  shared(prompt: readonly number[]): number {
    const most = Math.min(this.tokens.length, this.model.position, prompt.length - 1);
    let count = 0;
    while (count < most && this.tokens[count] === prompt[count]) count++;
    return count;
  }

  /** Brings the cache to hold exactly `prompt`, and reads the logits of its last token. */
  async prefill(prompt: readonly number[], want: Want, signal: AbortSignal | undefined): Promise<Candidates> {
    const shared = this.shared(prompt);
    this.model.rewind(shared);
    this.tokens = prompt.slice(0, shared);
    return this.append(prompt.slice(shared), want, signal);
  }

  /** Appends tokens, and reads the logits of the last. */
  async append(tokens: readonly number[], want: Want, signal: AbortSignal | undefined): Promise<Candidates> {
    const before = this.tokens.length;
    try {
      return await this.model.forward(tokens, want, signal);
    } finally {
      // After an abort the model holds the chunks that ran.
      for (const token of tokens.slice(0, this.model.position - before)) this.tokens.push(token);
    }
  }

  /** To be called when something else wrote to the model's cache. */
  forget(): void {
    this.tokens = [];
  }
}
