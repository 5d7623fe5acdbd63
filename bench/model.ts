import type { Gpu } from "../src/kernels/device.ts";
import { type StoredFormat, storedBytes } from "../src/kernels/matrix.ts";
import type { Config } from "../src/model/config.ts";
import { LlamaModel } from "../src/model/model.ts";
import { median } from "./measure.ts";
import { fillWeights } from "./random.ts";

export interface ModelFigures {
  readonly decodeMs: number;
  readonly decodeBytes: number;
  readonly prefillMs: number;
  readonly prefillTokens: number;
}

const DECODE_SAMPLES = 9;
const PREFILL_SAMPLES = 3;

/** Decode and prefill of a model of random weights: medians, after a warm-up, at the start of the context. */
export async function benchModel(
  gpu: Gpu,
  config: Config,
  format: StoredFormat,
  tokens: number,
): Promise<ModelFigures> {
  const context = Math.min(config.max_position_embeddings, 2 * tokens + DECODE_SAMPLES + 2);
  const options = { format, context, cache: "f16", chunk: tokens, tokenCount: config.vocab_size } as const;
  const model = await LlamaModel.create(gpu, config, options);
  fillWeights(gpu, model.weights);
  const prompt = Array.from({ length: tokens }, (_, i) => (i * 97) % config.vocab_size);
  const time = async (ids: readonly number[]) => {
    const start = performance.now();
    await model.forward(ids, "argmax");
    return performance.now() - start;
  };
  const prefill: number[] = [];
  for (let i = 0; i <= PREFILL_SAMPLES; i++) {
    model.rewind(0);
    prefill.push(await time(prompt));
  }
  const decode: number[] = [];
  for (let i = 0; i <= DECODE_SAMPLES; i++) decode.push(await time([i]));
  model.destroy();
  return {
    decodeMs: median(decode.slice(1)),
    decodeBytes: bytesPerToken(config, format),
    prefillMs: median(prefill.slice(1)),
    prefillTokens: tokens,
  };
}

/** Bytes of weights that one decoded token reads: every matrix once, of the embedding one row. */
function bytesPerToken(config: Config, format: StoredFormat): number {
  const { hidden_size: dim, intermediate_size: hidden, head_dim: headDim } = config;
  const qkvRows = (config.num_attention_heads + 2 * config.num_key_value_heads) * headDim;
  const bytes = (rows: number, columns: number) => {
    const { weight, scales } = storedBytes(format, rows, columns);
    return weight + scales;
  };
  const layer =
    bytes(qkvRows, dim) +
    bytes(dim, config.num_attention_heads * headDim) +
    bytes(2 * hidden, dim) +
    bytes(dim, hidden);
  return config.num_hidden_layers * layer + bytes(config.vocab_size, dim);
}
