import type { Checkpoint } from "../checkpoint/checkpoint.ts";
import { refuseUnmergedDelta } from "../checkpoint/delta.ts";
import { openCheckpoint } from "../checkpoint/open.ts";
import { type OpenFile, unlessAborted } from "../checkpoint/source.ts";
import { ConfigError, OptionError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { CacheFormat } from "../kernels/cache.ts";
import { show } from "../show.ts";
import type { WeightFormat } from "../stored.ts";
import type { Importance } from "./calibrate.ts";
import { type Config, parseConfig, readConfigText } from "./config.ts";
import { DECODES } from "./decode.ts";
import { checkFit, describeNeed, type Storage } from "./memory.ts";
import { DEPTH, LlamaModel } from "./model.ts";
import { PREFILLS } from "./prefill.ts";
import { expectTensors } from "./tensors.ts";
import { uploadWeights } from "./upload.ts";

export interface LoadOptions {
  /** How weights are stored on the GPU. Default "f16", or what a packed checkpoint holds. */
  readonly weights?: WeightFormat;
  /** What Engine.calibrate() measured: q4 keeps the columns that count the most most exactly. */
  readonly importance?: Importance;
  /** Tokens that one conversation may have. Default the config's max_position_embeddings. */
  readonly context?: number;
  /**
   * Tokens the KV cache holds, of all conversations together: what one has left stays for the next that begins alike, as
   * long as there is room. At least the context. Default the context.
   */
  readonly cacheTokens?: number;
  /** How keys and values are stored. Default "f16". */
  readonly cache?: CacheFormat;
  /** Tokens of one prefill pass. Default 128. */
  readonly chunk?: number;
  /**
   * The kernels of one token's pass: "auto" takes the fastest by timing, "plain" has none that are fused, and the others
   * are called by arithmetic and tile: "f32 16x4", "i8 16x4". Default "auto".
   */
  readonly decode?: string;
  /**
   * How a prompt's rows are multiplied: "auto" takes the fastest by timing, on software what is known to be; "timed" times there
   * too; the others are called by arithmetic and way: "f32 matmul", "i8 tiles". Default "auto".
   */
  readonly prefill?: string;
  /** Passes of an answer that are submitted before the first of them is read, 1 to 8: 1 waits for each. Default 4. */
  readonly depth?: number;
  /**
   * Whether each kernel is run once on known numbers before the weights are read: one that a browser or a driver computes
   * wrong is done without, or refused. Default true.
   */
  readonly check?: boolean;
  /** The tokenizer's length; rows of the vocabulary above it are masked. Default vocab_size. */
  readonly tokenCount?: number;
  /** How many of these must have a row: added tokens above them (`<pad>`) may have none. Default all. */
  readonly rowsNeeded?: number;
  readonly signal?: AbortSignal;
  /** Called as tensors arrive, with parameters loaded and in all. */
  readonly onProgress?: (loaded: number, total: number) => void;
}

/** Tokens of one prefill pass, if nothing else is asked for. */
export const CHUNK = 128;

/**
 * Reads a checkpoint folder in HF layout onto the GPU.
 * @throws ConfigError, CheckpointError, OptionError or DeviceError, each before the large buffers are allocated.
 */
export async function loadModel(gpu: Gpu, open: OpenFile, options: LoadOptions = {}): Promise<LlamaModel> {
  const text = await readConfigText(open);
  if (text === undefined) {
    throw new ConfigError(
      "The model folder has no config.json; wanted a checkpoint in Hugging Face's layout.",
    );
  }
  const config = parseConfig(text);
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
  const { cache = "f16", chunk = CHUNK, importance, signal, onProgress } = options;
  const { context = config.max_position_embeddings, tokenCount: asked = config.vocab_size } = options;
  const { cacheTokens = context } = options;
  signal?.throwIfAborted();
  checkOptions(config, context, chunk, asked, options.rowsNeeded ?? asked);
  expectWithin("cacheTokens", cacheTokens, Number.POSITIVE_INFINITY, context);
  const { decode = "auto", prefill = "auto", depth = DEPTH, check = true } = options;
  expectOneOf("decode", decode, DECODES);
  expectOneOf("prefill", prefill, PREFILLS);
  expectWithin("depth", depth, 8);
  const tokenCount = Math.min(asked, config.vocab_size);
  const format = chooseFormat(checkpoint, options.weights);
  const storage: Storage = { formatOf: () => format, cache, context, cacheTokens, chunk };
  await expectTensors(checkpoint, config);
  checkFit(gpu, config, storage);

  // All of it, before the first weight is read: what does not fit, or does not compile, is known at once.
  const need = describeNeed(config, storage);
  const making = gpu.guarded(
    `Making room for ${need}`,
    () => LlamaModel.create(gpu, config, { ...storage, tokenCount, decode, prefill, depth, check }),
    (useless) => useless.destroy(),
  );
  const model = await (signal ? unlessAborted(signal, () => making) : making).catch((error: unknown) => {
    // A shader that never arrives may be what was waited for: the rest is released whenever it is made.
    making.then(
      (late) => late.destroy(),
      () => {},
    );
    throw error;
  });
  try {
    await gpu.guarded(`Loading a model of ${need}`, () =>
      uploadWeights(gpu, model.weights, checkpoint, { importance, signal, onProgress }),
    );
    return model;
  } catch (error) {
    model.destroy();
    throw error;
  }
}

function checkOptions(
  config: Config,
  context: number,
  chunk: number,
  tokenCount: number,
  rowsNeeded: number,
): void {
  const { max_position_embeddings: positions, vocab_size: vocab } = config;
  expectWithin("context", context, positions);
  expectWithin("chunk", chunk, 4096);
  expectWithin("tokenCount", tokenCount, Number.POSITIVE_INFINITY);
  if (rowsNeeded > vocab) {
    throw new ConfigError(
      `The tokenizer has ${rowsNeeded} tokens, the model only ${vocab} rows: they do not belong together.`,
    );
  }
}

function expectWithin(name: string, value: number, most: number, least = 1): void {
  if (!Number.isInteger(value) || value < least || value > most) {
    const wanted = most < Number.POSITIVE_INFINITY ? `from ${least} to ${most}` : `of at least ${least}`;
    throw new OptionError(`${name} is ${show(value)}; wanted an integer ${wanted}.`);
  }
}

function expectOneOf(name: string, value: string, choices: readonly string[]): void {
  if (!choices.includes(value)) {
    throw new OptionError(`${name} is ${show(value)}; wanted ${choices.join(", ")}.`);
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
