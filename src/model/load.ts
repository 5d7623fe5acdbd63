import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { refuseUnmergedDelta } from "../checkpoint/delta.ts";
import { openCheckpoint } from "../checkpoint/open.ts";
import { type OpenFile, readText } from "../checkpoint/source.ts";
import { ConfigError, DeviceError, OptionError } from "../errors.ts";
import type { CacheFormat } from "../kernels/cache.ts";
import { describeAdapter, type Gpu } from "../kernels/device.ts";
import type { WeightFormat } from "../quantize/format.ts";
import type { Importance } from "./calibrate.ts";
import { type Config, parseConfig } from "./config.ts";
import { LlamaModel } from "./model.ts";
import { cacheBytes } from "./state.ts";
import { loadWeights } from "./weights.ts";

export interface LoadOptions {
  /** How weights are stored on the GPU. Default "f16", or what a packed checkpoint holds. */
  readonly weights?: WeightFormat;
  /** What LlamaModel.calibrate() measured: q4 and q4a keep the columns that count the most most exactly. */
  readonly importance?: Importance;
  /** Tokens the KV cache holds. Default the config's max_position_embeddings. */
  readonly context?: number;
  /** How keys and values are stored. Default "f16". */
  readonly cache?: CacheFormat;
  /** Tokens of one prefill pass. Default 128. */
  readonly chunk?: number;
  /** The tokenizer's length; rows of the vocabulary above it are masked. Default vocab_size. */
  readonly tokenCount?: number;
  readonly signal?: AbortSignal;
  /** Called as tensors arrive, with parameters loaded and in all. */
  readonly onProgress?: (loaded: number, total: number) => void;
}

/** A config.json has about half a kilobyte. */
const MOST_CONFIG_BYTES = 1 << 20;

/**
 * Reads a checkpoint folder in HF layout onto the GPU.
 * @throws ConfigError, CheckpointError, OptionError or DeviceError, each before the large buffers are allocated.
 */
export async function loadModel(gpu: Gpu, open: OpenFile, options: LoadOptions = {}): Promise<LlamaModel> {
  const file = await open("config.json");
  if (!file)
    throw new ConfigError(
      "The model folder has no config.json; wanted a checkpoint in Hugging Face's layout.",
    );
  const config = parseConfig(await readText(file, MOST_CONFIG_BYTES));
  const checkpoint = await openCheckpoint(open);
  await refuseUnmergedDelta(checkpoint);
  return loadCheckpoint(gpu, config, checkpoint, options);
}

/**
 * As loadModel(), of a checkpoint that is open: a merged one too, which no folder has.
 * @throws ConfigError, CheckpointError, OptionError or DeviceError, each before the large buffers are allocated.
 */
export async function loadCheckpoint(
  gpu: Gpu,
  config: Config,
  checkpoint: Checkpoint,
  options: LoadOptions = {},
): Promise<LlamaModel> {
  const { cache = "f16", chunk = 128 } = options;
  const { context = config.max_position_embeddings, tokenCount = config.vocab_size } = options;
  checkOptions(config, context, chunk, tokenCount);
  checkFit(gpu, config, context, chunk, cache);
  const format = chooseFormat(checkpoint, options.weights);
  return gpu.guarded("Loading the model", async () => {
    const { importance, signal, onProgress } = options;
    const weights = await loadWeights(gpu, config, checkpoint, { format, importance, signal, onProgress });
    return LlamaModel.create(gpu, config, weights, { context, cache, chunk, tokenCount });
  });
}

function checkOptions(config: Config, context: number, chunk: number, tokenCount: number): void {
  const { max_position_embeddings: positions, vocab_size: vocab } = config;
  const within = (name: string, value: number, most: number) => {
    if (!Number.isInteger(value) || value < 1 || value > most) {
      throw new OptionError(`${name} is ${value}; wanted an integer from 1 to ${most}.`);
    }
  };
  within("context", context, positions);
  within("chunk", chunk, 4096);
  if (tokenCount > vocab) {
    throw new ConfigError(
      `The tokenizer has ${tokenCount} tokens, the model only ${vocab} rows: they do not belong together.`,
    );
  }
}

/** A packed checkpoint has its matrices in one format, and its exact weights are not there. */
function chooseFormat({ packed, name }: Checkpoint, wanted: WeightFormat | undefined): WeightFormat {
  if (packed && wanted && wanted !== packed.format) {
    throw new OptionError(
      `weights is "${wanted}", and ${name} is packed as ${packed.format}: leave the option out, or convert the model again.`,
    );
  }
  return wanted ?? packed?.format ?? "f16";
}

/** Refuses a model whose buffers one binding cannot hold, before anything is allocated. */
function checkFit(gpu: Gpu, config: Config, context: number, chunk: number, cache: CacheFormat): void {
  const needs = [
    [
      `The KV cache of one layer for ${context} tokens`,
      cacheBytes(config, context, cache),
      "a shorter context",
    ],
    [`The activations of ${chunk} tokens`, 4 * chunk * 2 * config.intermediate_size, "a smaller chunk"],
  ] as const;
  for (const [what, bytes, advice] of needs) {
    if (bytes > gpu.bindingLimit) {
      throw new DeviceError(
        `${what} need ${bytes} bytes in one buffer; ${describeAdapter(gpu.info)} binds at most ${gpu.bindingLimit}. Choose ${advice}.`,
      );
    }
  }
}
