import { isObject, type JsonObject, parseObject } from "../checkpoint/json.ts";
import { type OpenFile, readText } from "../checkpoint/source.ts";
import { ConfigError } from "../errors.ts";
import { show } from "../show.ts";

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

/** What a key must be, where it stands, for this runtime to compute what transformers does: one of these values. */
const WANTED: readonly (readonly [key: string, ...values: (string | boolean | number)[]])[] = [
  ["model_type", "llama"],
  // One function under two names.
  ["hidden_act", "silu", "swish"],
  ["attention_bias", false],
  ["mlp_bias", false],
  ["is_encoder_decoder", false],
];

/** Longest config.json that is believed: a LLaMA's has about half a kilobyte. */
const MOST_BYTES = 1024 * 1024;

/** The text of a folder's config.json, or undefined where there is none. */
export async function readConfigText(open: OpenFile): Promise<string | undefined> {
  const file = await open("config.json");
  return file && readText(file, MOST_BYTES);
}

/**
 * Reads a `config.json`. Keys that do not change a LLaMA's arithmetic are passed over (`layer_norm_eps` and
 * `rotary_pct` of Ziya's Pretrain variant among them); those that would, and that this runtime does not do, are
 * refused: docs/checkpoint-keys.md has the table.
 * @throws ConfigError
 */
export function parseConfig(text: string): Config {
  const json = parseConfigObject(text, "config.json");
  for (const [key, ...values] of WANTED) expect(json, key, values);
  for (const key of ["quantization_config", "per_layer_config"]) refuseObject(json, key);
  const architectures = json.architectures;
  // The first LLaMA folders spell it LLaMAForCausalLM.
  const isCausal = (name: unknown) => typeof name === "string" && /^llamaforcausallm$/i.test(name);
  if (Array.isArray(architectures) && !architectures.some(isCausal)) {
    throw new ConfigError(
      `config.json names the architecture ${show(architectures)}; wanted LlamaForCausalLM.`,
    );
  }
  const heads = count(json, "num_attention_heads");
  const hidden = count(json, "hidden_size");
  if ((json.head_dim ?? undefined) === undefined && hidden % heads !== 0) {
    throw new ConfigError(
      `config.json has hidden_size ${hidden} over ${heads} heads and no head_dim; wanted a whole ratio, or head_dim.`,
    );
  }
  const rope = ropeSettings(json);
  expect("partial_rotary_factor" in rope ? rope : json, "partial_rotary_factor", [1]);
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
    // As transformers 5 has it: the settings' own theta counts before the one beside them.
    rope_theta: positive((rope.rope_theta ?? undefined) === undefined ? json : rope, "rope_theta", 10000),
    rope_factor: ropeFactor(rope),
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
    return parseObject(writeNumbersAsJson(text), name);
  } catch (cause) {
    throw new ConfigError((cause as Error).message, { cause });
  }
}

/**
 * Python writes three numbers that JSON has not. The infinite ones are numbers too large for JavaScript; NaN becomes
 * the string "NaN", which no key of a number takes, and which changes nothing in a key that is passed over.
 */
function writeNumbersAsJson(text: string): string {
  return text.replace(/"(?:[^"\\]|\\.)*"|\b(?:NaN|Infinity)\b/gs, (token) =>
    token === "NaN" ? '"NaN"' : token === "Infinity" ? "1e999" : token,
  );
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

function expect(json: JsonObject, key: string, wanted: readonly unknown[]): void {
  const found = json[key] ?? undefined;
  if (found !== undefined && !wanted.includes(found)) {
    throw new ConfigError(
      `config.json has ${key} ${show(found)}; this runtime does ${wanted.map(show).join(" or ")} only.`,
    );
  }
}

function refuseObject(json: JsonObject, key: string): void {
  const found = json[key] ?? undefined;
  if (found === undefined) return;
  throw new ConfigError(
    `config.json has ${key} ${show(found)}; this runtime reads models in f32, f16 or bf16 with every layer alike. Fetch the original checkpoint.`,
  );
}

function count(json: JsonObject, key: string, missing?: number, most = MOST): number {
  const value = json[key] ?? missing;
  if (typeof value !== "number" || !Number.isInteger(value) || value < 1 || value > most) {
    throw new ConfigError(`config.json has ${key} ${show(json[key])}; wanted an integer from 1 to ${most}.`);
  }
  return value;
}

function positive(json: JsonObject, key: string, missing: number): number {
  const value = json[key] ?? missing;
  if (typeof value !== "number" || !(value > 0) || !Number.isFinite(value)) {
    throw new ConfigError(`config.json has ${key} ${show(json[key])}; wanted a positive number.`);
  }
  return value;
}

function flag(json: JsonObject, key: string, missing: boolean): boolean {
  const value = json[key] ?? missing;
  if (typeof value !== "boolean") {
    throw new ConfigError(`config.json has ${key} ${show(value)}; wanted true or false.`);
  }
  return value;
}

/**
 * Older configs keep the RoPE settings in `rope_scaling`, newer ones in `rope_parameters`; of two transformers takes
 * the older, and an empty one counts as none.
 */
function ropeSettings(json: JsonObject): JsonObject {
  const settings = ["rope_scaling", "rope_parameters"].map((key) => {
    const value = json[key] ?? {};
    if (!isObject(value) || Object.values(value).some(isObject)) {
      throw new ConfigError(
        `config.json has ${key} ${show(value)}; wanted an object of settings for all layers, such as {"rope_type":"linear","factor":2}.`,
      );
    }
    return value;
  });
  return settings.find((value) => Object.keys(value).length > 0) ?? {};
}

function ropeFactor(settings: JsonObject): number {
  const type = settings.rope_type ?? settings.type ?? "default";
  if (type === "default") return 1;
  if (type !== "linear") {
    throw new ConfigError(`config.json scales RoPE by ${show(type)}; this runtime does "linear" only.`);
  }
  return positive(settings, "factor", Number.NaN);
}
