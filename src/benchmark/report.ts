export interface BenchmarkOptions {
  readonly signal?: AbortSignal | undefined;
  /** From 0 to 1. */
  readonly onProgress?: ((done: number) => void) | undefined;
}

/** What a model's passes take on an adapter. */
export interface BenchmarkReport {
  readonly version: string;
  readonly adapter: {
    readonly vendor: string;
    readonly architecture: string;
    readonly device: string;
    readonly description: string;
  };
  readonly features: readonly string[];
  readonly decoding: string;
  readonly prefilling: string;
  readonly model: string;
  readonly date: string;
  /** Bytes per second that a kernel reads which does nothing else. */
  readonly read_bandwidth: number;
  /** Of a prompt of `prompt_tokens` tokens. */
  readonly prefill_tokens_per_second: number;
  readonly prompt_tokens: number;
  /** Of the tokens after it. */
  readonly decode_tokens_per_second: number;
  /** Bytes of weights that a token reads, over its time, over `read_bandwidth`. */
  readonly decode_share: number;
  /** In the order of their passes. */
  readonly kernels: readonly KernelReport[];
}

/** What the dispatches of one kernel take that do the same, of one layer after the other. */
interface KernelReport {
  readonly name: string;
  /** The pass that it is part of: of one token behind the prompt, or of `rows` tokens of a prompt. */
  readonly pass: "decode" | "prefill";
  readonly rows: number;
  /** How many of them the pass has. */
  readonly dispatches: number;
  /** Of all of them: what a pass takes is about the sum over its kernels. */
  readonly milliseconds: number;
  /** Of weights, of the cache or of logits that all of them have to read; null where they read only what goes between kernels. */
  readonly bytes: number | null;
  /** Of the read bandwidth; null as above. Above 1 where a cache holds the bytes from one run to the next. */
  readonly share: number | null;
}
