/** What takes turns: one runtime with a model and a context of one sequence. */
export interface Contestant {
  readonly name: string;
  /** Makes the context `tokens` long, whatever stands in it. */
  fill(tokens: number): Promise<void>;
  /** Milliseconds of each of `count` passes of one token, which are forgotten afterwards. */
  decode(count: number): Promise<readonly number[]>;
  /** Milliseconds of a pass of `count` tokens in an empty context, forgotten afterwards; the last one's logits are made. */
  prefill(count: number): Promise<number>;
  close(): Promise<void>;
}
