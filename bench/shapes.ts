import { type Config, parseConfig } from "../src/model/config.ts";

/** The models whose shapes can be benchmarked, as their config.json states them. */
const SHAPES: Record<string, Record<string, number>> = {
  "ziya-13b": {
    hidden_size: 5120,
    intermediate_size: 13824,
    num_hidden_layers: 40,
    num_attention_heads: 40,
    max_position_embeddings: 2048,
    vocab_size: 39424,
  },
  "llama-7b": {
    hidden_size: 4096,
    intermediate_size: 11008,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    max_position_embeddings: 2048,
    vocab_size: 32000,
  },
  "ziya-tiny": {
    hidden_size: 256,
    intermediate_size: 704,
    num_hidden_layers: 6,
    num_attention_heads: 4,
    max_position_embeddings: 512,
    vocab_size: 2048,
  },
};

export const SHAPE_NAMES: readonly string[] = Object.keys(SHAPES);

/** The config of a shape by name, with fewer layers when asked. */
export function shapeConfig(name: string, layers?: number): Config {
  const shape = SHAPES[name];
  if (!shape) throw new Error(`There is no shape "${name}"; the shapes are ${SHAPE_NAMES.join(", ")}.`);
  return parseConfig(JSON.stringify({ ...shape, ...(layers ? { num_hidden_layers: layers } : {}) }));
}
