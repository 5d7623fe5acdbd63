import { ContextOverflowError, OptionError } from "../errors.ts";
import { argmax } from "../kernels/argmax.ts";
import type { Gpu } from "../kernels/device.ts";
import { type Dispatch, encode } from "../kernels/kernel.ts";
import { topK } from "../kernels/top_k.ts";
import { type Importance, recordCalibration } from "./calibrate.ts";
import type { Config } from "./config.ts";
import { compileKernels, type Kernels } from "./kernels.ts";
import { type Candidates, type LanguageModel, MAX_CANDIDATES, type Want } from "./language-model.ts";
import { allLogits, forward, lastLogits } from "./llama.ts";
import type { Storage } from "./memory.ts";
import { Readback } from "./readback.ts";
import { createState, destroyState, type State } from "./state.ts";
import { allocateWeights, destroyWeights, type Weights } from "./weights.ts";

export interface ModelOptions extends Storage {
  /** The tokenizer's length: logits of rows above it are never returned. */
  readonly tokenCount: number;
}

/** A LLaMA on the GPU: weights, state, and its passes recorded as flat lists of dispatches. */
export class LlamaModel implements LanguageModel {
  readonly config: Config;
  readonly tokenCount: number;
  readonly weights: Weights;
  private readonly gpu: Gpu;
  private readonly state: State;
  private readonly prefillKernels: Kernels;
  private readonly decode: readonly Dispatch[];
  private readonly prefill: readonly Dispatch[];
  private readonly head: readonly Dispatch[];
  private readonly select: Readonly<Record<"argmax" | "candidates", Dispatch>>;
  private readonly readback: Readback;
  private length = 0;

  /** Allocates, compiles and records. The weights are empty: uploadWeights() fills them. */
  static async create(gpu: Gpu, config: Config, options: ModelOptions): Promise<LlamaModel> {
    const { format, context, cache, chunk, tokenCount } = options;
    const weights = allocateWeights(gpu, config, format);
    const state = createState(gpu, config, chunk, context, cache);
    try {
      const [decode, prefill] = await Promise.all(
        [1, chunk].map((tokens) => compileKernels(gpu, config, weights, state, tokens, cache)),
      );
      const limits = { vocab: config.vocab_size, limit: tokenCount };
      const [best, top] = await Promise.all([argmax(gpu, limits), topK(gpu, limits)]);
      const buffers = { logits: state.logits, best: state.best };
      return new LlamaModel(gpu, config, weights, state, tokenCount, decode!, prefill!, {
        argmax: best(buffers),
        candidates: top(buffers),
      });
    } catch (error) {
      destroyState(state);
      destroyWeights(weights);
      throw error;
    }
  }

  private constructor(
    gpu: Gpu,
    config: Config,
    weights: Weights,
    state: State,
    tokenCount: number,
    decode: Kernels,
    prefill: Kernels,
    select: Readonly<Record<"argmax" | "candidates", Dispatch>>,
  ) {
    this.gpu = gpu;
    this.config = config;
    this.weights = weights;
    this.state = state;
    this.tokenCount = tokenCount;
    this.prefillKernels = prefill;
    this.decode = [...forward(decode, weights, state)];
    this.prefill = [...forward(prefill, weights, state)];
    this.head = [...lastLogits(decode, weights, state)];
    this.select = select;
    this.readback = new Readback(gpu);
  }

  get contextLength(): number {
    return this.state.context;
  }

  get position(): number {
    return this.length;
  }

  rewind(position: number): void {
    if (!Number.isInteger(position) || position < 0 || position > this.length) {
      throw new OptionError(`Cannot rewind to position ${position}; the cache holds ${this.length} tokens.`);
    }
    this.length = position;
  }

  async forward(tokens: readonly number[], want: Want, signal?: AbortSignal): Promise<Candidates> {
    this.admit(tokens);
    if (tokens.length === 0) throw new OptionError("A forward pass needs at least one token.");
    const { rows } = this.state;
    for (let at = 0; ; at += rows) {
      signal?.throwIfAborted();
      const chunk = tokens.slice(at, at + rows);
      const encoder = this.begin(chunk);
      if (at + rows >= tokens.length) {
        encode(encoder, this.head, "head");
        const result = await this.read(encoder, want);
        this.length += chunk.length;
        return result;
      }
      this.gpu.device.queue.submit([encoder.finish()]);
      await this.gpu.finished();
      this.length += chunk.length;
    }
  }

  /**
   * Logits of every position of `tokens`, from an empty cache: float32 [T, vocab_size] a chunk, padding rows of the
   * vocabulary included.
   */
  async *logits(tokens: readonly number[]): AsyncGenerator<Float32Array> {
    this.rewind(0);
    this.admit(tokens);
    const { vocab_size: vocab } = this.config;
    const rows = Math.min(
      this.state.rows,
      tokens.length,
      Math.max(1, Math.floor(this.gpu.bindingLimit / 4 / vocab)),
    );
    const buffer = await this.gpu.guarded("Scoring", async () =>
      this.gpu.buffer("logits of every token", 4 * rows * vocab),
    );
    const score = [...allLogits(this.prefillKernels, this.weights, this.state, buffer)];
    try {
      for (let at = 0; at < tokens.length; at += rows) {
        const chunk = tokens.slice(at, at + rows);
        const encoder = this.begin(chunk);
        encode(encoder, score, "logits of every token");
        const bytes = await this.readback.submitAndRead(encoder, buffer, 4 * chunk.length * vocab);
        this.length += chunk.length;
        yield new Float32Array(bytes);
      }
    } finally {
      buffer.destroy();
    }
  }

  /**
   * The importance of every matrix's columns over all tokens of `windows`, each run from an empty cache; the cache
   * holds the last one then.
   * @param onProgress Called with the tokens run so far.
   * @throws OptionError when there are no tokens, and what forward() throws.
   */
  async calibrate(
    windows: Iterable<readonly number[]>,
    { signal, onProgress }: { signal?: AbortSignal; onProgress?: (tokens: number) => void } = {},
  ): Promise<Importance> {
    const { gpu, state } = this;
    const pass = await gpu.guarded("Calibrating", () =>
      recordCalibration(gpu, this.prefillKernels, this.weights, state),
    );
    try {
      let count = 0;
      for (const window of windows) {
        this.rewind(0);
        this.admit(window);
        for (let at = 0; at < window.length; at += state.rows) {
          signal?.throwIfAborted();
          const chunk = window.slice(at, at + state.rows);
          gpu.device.queue.submit([this.begin(chunk, pass.dispatches).finish()]);
          await gpu.finished();
          this.length += chunk.length;
          count += chunk.length;
          onProgress?.(count);
        }
      }
      if (count === 0) throw new OptionError("Calibration needs at least one token: give it a longer text.");
      const importance = new Map<string, Float32Array>();
      for (const [name, sums] of pass.sums) {
        const bytes = await this.readback.submitAndRead(
          gpu.device.createCommandEncoder({ label: "column squares" }),
          sums,
          sums.size,
        );
        importance.set(
          name,
          new Float32Array(bytes).map((sum) => sum / count),
        );
      }
      return importance;
    } finally {
      for (const buffer of pass.sums.values()) buffer.destroy();
    }
  }

  /** Releases every buffer; the device stays open. */
  destroy(): void {
    this.readback.destroy();
    destroyState(this.state);
    destroyWeights(this.weights);
  }

  /** Refuses tokens that do not fit the cache or the vocabulary, before anything changes. */
  private admit(tokens: readonly number[]): void {
    const wanted = this.length + tokens.length;
    if (wanted > this.contextLength) {
      throw new ContextOverflowError(
        `${tokens.length} tokens after the ${this.length} in the cache make ${wanted}; the context holds ${this.contextLength}. ` +
          "Shorten the conversation, or load the model with a longer context.",
      );
    }
    const { vocab_size: vocab } = this.config;
    const wrong = tokens.find((id) => !Number.isInteger(id) || id < 0 || id >= vocab);
    if (wrong !== undefined) throw new OptionError(`Token id ${wrong} is not in the vocabulary of ${vocab}.`);
  }

  /** Writes what a replay reads, and encodes the layers for a chunk of tokens. */
  private begin(
    chunk: readonly number[],
    pass: readonly Dispatch[] = chunk.length === 1 ? this.decode : this.prefill,
  ): GPUCommandEncoder {
    const { device } = this.gpu;
    device.queue.writeBuffer(this.state.step, 0, new Uint32Array([this.length, chunk.length, 0, 0]));
    device.queue.writeBuffer(this.state.tokens, 0, new Uint32Array(chunk));
    const label = chunk.length === 1 ? "decode" : "prefill";
    const encoder = device.createCommandEncoder({ label });
    encode(encoder, pass, label);
    return encoder;
  }

  private async read(encoder: GPUCommandEncoder, want: Want): Promise<Candidates> {
    const { logits, best } = this.state;
    if (want === "logits") {
      const bytes = await this.readback.submitAndRead(encoder, logits, 4 * this.tokenCount);
      return {
        ids: Uint32Array.from({ length: this.tokenCount }, (_, id) => id),
        logits: new Float32Array(bytes),
      };
    }
    encode(encoder, [this.select[want]], want);
    const count = want === "argmax" ? 1 : MAX_CANDIDATES;
    const bytes = await this.readback.submitAndRead(encoder, best, 8 * count);
    const ids = new Uint32Array(bytes, 0, count);
    const known = Math.min(count, this.tokenCount);
    return {
      ids: ids.subarray(0, known),
      logits: new Float32Array(bytes, 4 * count, count).subarray(0, known),
    };
  }
}
