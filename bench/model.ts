import type { Gpu } from "../src/gpu/device.ts";
import type { Config } from "../src/model/config.ts";
import { LlamaModel } from "../src/model/model.ts";
import { storedBytes, type WeightFormat } from "../src/stored.ts";
import { type Measured, median } from "./measure.ts";
import { fillWeights } from "./random.ts";

const DECODE_SAMPLES = 9;
const PREFILL_SAMPLES = 3;

/** Decode and prefill of a model of random weights: medians, after a warm-up, at the start of the context. */
export async function benchModel(
  gpu: Gpu,
  config: Config,
  format: WeightFormat,
  tokens: number,
): Promise<Measured[]> {
  const context = Math.min(config.max_position_embeddings, 2 * tokens + DECODE_SAMPLES + 2);
  const options = {
    formatOf: () => format,
    context,
    cache: "f16",
    chunk: tokens,
    tokenCount: config.vocab_size,
  } as const;
  const model = await LlamaModel.create(gpu, config, options);
  fillWeights(gpu, model.weights);
  const prompt = Array.from({ length: tokens }, (_, i) => (i * 97) % config.vocab_size);
  const sequence = model.open();
  const time = async (ids: readonly number[]) => {
    const start = performance.now();
    await model.forward(sequence, ids, "argmax");
    return performance.now() - start;
  };
  const prefill: number[] = [];
  for (let i = 0; i <= PREFILL_SAMPLES; i++) {
    sequence.truncate(0);
    prefill.push(await time(prompt));
  }
  const decode: number[] = [];
  for (let i = 0; i <= DECODE_SAMPLES; i++) decode.push(await time([i]));
  model.destroy();
  const layers = `${config.num_hidden_layers} layers`;
  const [prefillMs, decodeMs] = [median(prefill.slice(1)), median(decode.slice(1))];
  return [
    {
      name: `decode, ${layers}`,
      ms: decodeMs,
      ...costOf(config, format, tokens + DECODE_SAMPLES / 2, 1),
      tokensPerSecond: 1000 / decodeMs,
    },
    {
      name: `prefill x ${tokens}, ${layers}`,
      ms: prefillMs,
      ...costOf(config, format, 0, tokens),
      tokensPerSecond: (1000 * tokens) / prefillMs,
    },
  ];
}

/**
 * What a pass of `tokens` tokens after `position` others must at least move and compute: every matrix once, of the
 * embedding a row a token, and the KV cache; two operations for each weight and token, and for each score and value.
 */
export function costOf(
  config: Config,
  format: WeightFormat,
  position: number,
  tokens: number,
): { bytes: number; flops: number } {
  const { hidden_size: dim, intermediate_size: hidden, vocab_size: vocab, head_dim: headDim } = config;
  const { num_attention_heads: heads, num_key_value_heads: kvHeads, num_hidden_layers: layers } = config;
  const stored = (rows: number, columns: number) => {
    const { words, scales } = storedBytes(format, rows, columns);
    return words + scales;
  };
  const matrices = [
    [(heads + 2 * kvHeads) * headDim, dim],
    [dim, heads * headDim],
    [2 * hidden, dim],
    [dim, hidden],
  ] as const;
  const layerBytes = matrices.reduce((sum, [rows, columns]) => sum + stored(rows, columns), 0);
  const layerWeights = matrices.reduce((sum, [rows, columns]) => sum + rows * columns, 0);
  const cached = 2 * 2 * kvHeads * headDim * (position + tokens);
  const visible = tokens * (position + (tokens + 1) / 2); // pairs of a token and a position it sees
  return {
    bytes: layers * (layerBytes + cached) + stored(vocab, dim) + tokens * stored(1, dim),
    flops: layers * (2 * tokens * layerWeights + 4 * heads * headDim * visible) + 2 * vocab * dim,
  };
}
