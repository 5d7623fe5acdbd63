import { type JsonObject, parseObject } from "../checkpoint/json.ts";
import { ConfigError } from "../errors.ts";

/** A LLaMA `config.json` with HF's names, checked; keys that a variant leaves out have HF's defaults. */
export interface Config {
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly num_key_value_heads: number;
  readonly head_dim: number;
  readonly max_position_embeddings: number;
  readonly rms_norm_eps: number;
  readonly rope_theta: number;
  /** Positions are divided by this: linear `rope_scaling`, 1 without. */
  readonly rope_factor: number;
  readonly tie_word_embeddings: boolean;
}

/** Bounds that no LLaMA comes near: a config beyond them is a mistake or an attack. */
const MOST = 2 ** 24;
/** LLaMAs have up to 126 layers; every layer of a config is nine tensors to look for. */
const MOST_LAYERS = 1024;
/** The matrix kernels take columns in groups of 32. */
const COLUMN_GROUP = 32;
/** The attention kernels keep a row of a head in registers. */
const HEAD_DIMS = { least: 32, most: 128, multiple: 16 };

/**
 * Reads a `config.json`. Keys that do not change a LLaMA's arithmetic are passed over (`layer_norm_eps` and
 * `rotary_pct` of Ziya's Pretrain variant among them); those that would, and that this runtime does not do, are refused.
 * @throws ConfigError
 */
export function parseConfig(text: string): Config {
  const json = parseConfigObject(text, "config.json");
  expect(json, "model_type", "llama");
  expect(json, "hidden_act", "silu");
  expect(json, "attention_bias", false);
  expect(json, "mlp_bias", false);
  const architectures = json.architectures;
  if (Array.isArray(architectures) && !architectures.includes("LlamaForCausalLM")) {
    throw new ConfigError(
      `config.json names the architecture ${JSON.stringify(architectures).slice(0, 200)}; wanted LlamaForCausalLM.`,
    );
  }
  const heads = count(json, "num_attention_heads");
  const hidden = count(json, "hidden_size");
  const config: Config = {
    vocab_size: count(json, "vocab_size"),
    hidden_size: hidden,
    intermediate_size: count(json, "intermediate_size"),
    num_hidden_layers: count(json, "num_hidden_layers", undefined, MOST_LAYERS),
    num_attention_heads: heads,
    num_key_value_heads: count(json, "num_key_value_heads", heads),
    head_dim: count(json, "head_dim", Math.floor(hidden / heads)),
    max_position_embeddings: count(json, "max_position_embeddings", 2048),
    rms_norm_eps: positive(json, "rms_norm_eps", 1e-6),
    rope_theta: positive(json, "rope_theta", ropeTheta(json)),
    rope_factor: ropeFactor(json),
    tie_word_embeddings: flag(json, "tie_word_embeddings", false),
  };
  checkShape(config);
  return config;
}

/**
 * The object that a config file holds.
 * @throws ConfigError
 */
export function parseConfigObject(text: string, name: string): JsonObject {
  try {
    return parseObject(text, name);
  } catch (cause) {
    throw new ConfigError((cause as Error).message, { cause });
  }
}

function checkShape(config: Config): void {
  for (const key of ["hidden_size", "intermediate_size"] as const) {
    if (config[key] % COLUMN_GROUP !== 0) {
      throw new ConfigError(`config.json has ${key} ${config[key]}; wanted a multiple of ${COLUMN_GROUP}.`);
    }
  }
  const { num_attention_heads: heads, num_key_value_heads: kvHeads, head_dim: headDim } = config;
  if (heads % kvHeads !== 0) {
    throw new ConfigError(
      `config.json has ${heads} heads over ${kvHeads} key-value heads; wanted a whole ratio.`,
    );
  }
  if (headDim < HEAD_DIMS.least || headDim > HEAD_DIMS.most || headDim % HEAD_DIMS.multiple !== 0) {
    throw new ConfigError(
      `config.json gives heads of ${headDim} dimensions; wanted ${HEAD_DIMS.least} to ${HEAD_DIMS.most} in steps of ${HEAD_DIMS.multiple}.`,
    );
  }
  if ((heads * headDim) % COLUMN_GROUP !== 0) {
    throw new ConfigError(
      `config.json has ${heads} heads of ${headDim}; wanted a product that is a multiple of ${COLUMN_GROUP}.`,
    );
  }
}

function expect(json: JsonObject, key: string, wanted: string | boolean): void {
  const found = json[key];
  if (found !== undefined && found !== null && found !== wanted) {
    throw new ConfigError(
      `config.json has ${key} ${JSON.stringify(found)}; this runtime does ${JSON.stringify(wanted)} only.`,
    );
  }
}

function count(json: JsonObject, key: string, missing?: number, most = MOST): number {
  const value = json[key] ?? missing;
  if (typeof value !== "number" || !Number.isInteger(value) || value < 1 || value > most) {
    throw new ConfigError(
      `config.json has ${key} ${JSON.stringify(json[key])}; wanted an integer from 1 to ${most}.`,
    );
  }
  return value;
}

function positive(json: JsonObject, key: string, missing: number): number {
  const value = json[key] ?? missing;
  if (typeof value !== "number" || !(value > 0) || !Number.isFinite(value)) {
    throw new ConfigError(`config.json has ${key} ${JSON.stringify(json[key])}; wanted a positive number.`);
  }
  return value;
}

function flag(json: JsonObject, key: string, missing: boolean): boolean {
  const value = json[key] ?? missing;
  if (typeof value !== "boolean") {
    throw new ConfigError(`config.json has ${key} ${JSON.stringify(value)}; wanted true or false.`);
  }
  return value;
}

/** Newer HF configs keep the RoPE settings in `rope_parameters`, older ones in `rope_scaling`. */
function ropeSettings(json: JsonObject): JsonObject {
  return (json.rope_scaling ?? json.rope_parameters ?? {}) as JsonObject;
}

function ropeTheta(json: JsonObject): number {
  const theta = ropeSettings(json).rope_theta;
  return typeof theta === "number" ? theta : 10000;
}

function ropeFactor(json: JsonObject): number {
  const settings = ropeSettings(json);
  const type = settings.rope_type ?? settings.type ?? "default";
  if (type === "default") return 1;
  if (type !== "linear") {
    throw new ConfigError(
      `config.json scales RoPE by ${JSON.stringify(type)}; this runtime does "linear" only.`,
    );
  }
  return positive(settings, "factor", Number.NaN);
}
