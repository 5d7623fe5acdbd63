import { refuseUnfinished } from "../checkpoint/open.ts";
import { abortable, decodeText, type OpenFile, readWhole, refusePointers } from "../checkpoint/source.ts";
import { ConfigError, DeviceLostError } from "../errors.ts";
import { type DeviceOptions, LIMITS } from "../gpu/device.ts";
import { RUNGS } from "../gpu/features.ts";
import type { Host } from "../host.ts";
import { CACHE_FORMATS } from "../kernels/cache.ts";
import { DECODES } from "../model/decode.ts";
import { CHUNK, loadModel, type LoadOptions as ModelLoadOptions } from "../model/load-model.ts";
import type { LlamaModel } from "../model/model.ts";
import { PREFILLS } from "../model/prefill.ts";
import { WEIGHT_FORMATS } from "../stored.ts";
import {
  type LoadedTokenizer,
  type LoadTokenizerOptions,
  loadTokenizer,
} from "../tokenizer/load-tokenizer.ts";
import { ChatFormat } from "./chat.ts";
import { CARD_DEFAULTS, type GenerationConfig, parseGenerationConfig } from "./defaults.ts";
import { Engine } from "./engine.ts";
import { opener } from "./opener.ts";
import { checkOptions, integer, type Option } from "./option.ts";
import type { RecoveryOptions } from "./recovery.ts";
import { MOST_SERVED, type SchedulerOptions, servedAtOnce } from "./scheduler.ts";

/** Which adapter, how weights and cache are stored on it, and how special tokens are read. */
export type EngineOptions = DeviceOptions &
  SchedulerOptions &
  Omit<ModelLoadOptions, "tokenCount" | "rowsNeeded"> &
  LoadTokenizerOptions &
  Pick<RecoveryOptions, "onDeviceLost">;

/** The options of opening a device: one table for the library and the command line, as that below. */
export const DEVICE_OPTIONS = {
  adapter: {
    kind: "text",
    flag: ["NAME", "A part of the adapter's name. Default: hardware before software."],
  },
  rung: {
    kind: "choice",
    choices: RUNGS,
    flag: [
      "NAME",
      "Which of the adapter's features are used: core (none), subgroups, dot or half. Default: all.",
    ],
  },
  limits: {
    kind: "choice",
    choices: LIMITS,
    flag: ["NAME", "adapter, or default for the limits WebGPU guarantees. Default: adapter."],
  },
} as const satisfies Record<keyof DeviceOptions, Option>;

/** The options of loading a model onto it. */
export const MODEL_OPTIONS = {
  weights: {
    kind: "choice",
    choices: WEIGHT_FORMATS,
    flag: [
      "FORMAT",
      `How weights are stored: ${WEIGHT_FORMATS.join(", ")}. Default: f16, or what it is packed as.`,
    ],
  },
  importance: { kind: "other" },
  context: {
    kind: "size",
    flag: ["N", "Tokens that one conversation may have. Default: what the model was made for."],
  },
  cacheTokens: {
    kind: "size",
    flag: ["N", "Tokens the KV cache holds, of all conversations. Default: the context.", "kv-tokens"],
  },
  cache: {
    kind: "choice",
    choices: CACHE_FORMATS,
    flag: ["FORMAT", `How keys and values are stored: ${CACHE_FORMATS.join(", ")}. Default: f16.`, "kv"],
  },
  chunk: { kind: "size" },
  decode: {
    kind: "choice",
    choices: DECODES,
    flag: [
      "KERNELS",
      `How a token is run: plain, or ARITHMETIC and TILE as in "f32 16x4". Default: auto, the fastest by timing.`,
    ],
  },
  prefill: {
    kind: "choice",
    choices: PREFILLS,
    flag: [
      "KERNELS",
      `How a prompt is multiplied: ARITHMETIC and WAY as in "i8 tiles". Default: auto, the fastest by timing; timed: on software too.`,
    ],
  },
  depth: {
    kind: "size",
    flag: ["N", "Passes of an answer submitted before the first is read, 1 to 8. Default: 4."],
  },
  check: { kind: "boolean" },
  parallel: integer(1, MOST_SERVED),
  queue: integer(0, 65_536),
  strip: { kind: "boolean" },
  signal: { kind: "signal" },
  onProgress: { kind: "other" },
  onDeviceLost: { kind: "other" },
} as const satisfies Record<Exclude<keyof EngineOptions, keyof DeviceOptions>, Option>;

/**
 * Opens a device and loads a checkpoint folder in Hugging Face's layout onto it. When the device is lost, the engine opens the
 * adapter's next one and reads the weights again, and the answers that were under way go on: their tokens are run as they were
 * at first, and what earlier answers had left in the cache as part of a prompt. Their files have to stay readable for that.
 * @param release Called when the engine is destroyed, after its device is: for the host's own end.
 * @throws OptionError, TokenizerError, ConfigError, CheckpointError or DeviceError; nothing stays allocated then. What
 * is wrong with the text files is told before a device is opened and the weights are read.
 */
export async function loadEngine(
  host: Host,
  openFile: OpenFile,
  options: EngineOptions = {},
  release: () => void = () => {},
): Promise<Engine<LlamaModel>> {
  checkOptions(options, { ...DEVICE_OPTIONS, ...MODEL_OPTIONS }, "option of loading");
  const { signal, chunk = CHUNK } = options;
  servedAtOnce(options.parallel, chunk);
  const reading = new AbortController();
  const stop = () => reading.abort(signal?.reason);
  if (signal?.aborted) stop();
  signal?.addEventListener("abort", stop);
  try {
    return await loadFrom(host, abortable(refusePointers(openFile), reading.signal), options, release);
  } catch (error) {
    // What was read ahead is of no use any more.
    reading.abort(error);
    throw error;
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

async function loadFrom(
  host: Host,
  open: OpenFile,
  options: EngineOptions,
  release: () => void,
): Promise<Engine<LlamaModel>> {
  const { tokenizer, rowsNeeded, addBos, addEos, chatTemplate, generation } = await loadText(open, options);
  const { defaults, eosIds = [tokenizer.eosId] } = generation;
  const stranger = eosIds.find((id) => id >= tokenizer.size);
  if (stranger !== undefined) {
    throw new ConfigError(
      `The checkpoint's eos_token_id has ${stranger}; the tokenizer's ids end at ${tokenizer.size - 1}.`,
    );
  }
  const format = new ChatFormat(tokenizer, chatTemplate);
  const modelOptions = { ...options, tokenCount: tokenizer.size, rowsNeeded };
  const openModel = opener(host, options, (gpu, kernels, signal) =>
    loadModel(gpu, open, { ...modelOptions, ...kernels, signal }),
  );
  const placed = await openModel(options.signal);
  if (placed instanceof DeviceLostError) throw placed;
  return new Engine({
    ...placed,
    tokenizer,
    format,
    addBos,
    addEos,
    defaults,
    eosIds,
    scheduling: options,
    release,
    onDeviceLost: options.onDeviceLost,
    reopen: openModel,
  });
}

/**
 * What turns text into ids and ids into text: all of a checkpoint but the model.
 * @throws OptionError, TokenizerError, ConfigError or CheckpointError, the last also for a conversion that was stopped.
 */
export async function loadText(
  open: OpenFile,
  { strip }: LoadTokenizerOptions = {},
): Promise<LoadedTokenizer & { readonly generation: GenerationConfig }> {
  await refuseUnfinished(open);
  const read = async (name: string) => {
    const file = await open(name);
    return file && readWhole(file);
  };
  const text = async (name: string) => {
    const bytes = await read(name);
    return bytes && decodeText(bytes, name);
  };
  const loaded = await loadTokenizer(read, strip === undefined ? {} : { strip });
  const generation = await readGenerationConfig(text);
  return {
    ...loaded,
    // Newer checkpoints keep the template in a file of its own, which then counts.
    chatTemplate: (await text("chat_template.jinja")) ?? loaded.chatTemplate,
    generation,
  };
}

/** As in transformers, config.json counts for the keys of generation_config.json where that is missing. */
async function readGenerationConfig(
  text: (name: string) => Promise<string | undefined>,
): Promise<GenerationConfig> {
  for (const name of ["generation_config.json", "config.json"]) {
    const json = await text(name);
    if (json !== undefined) return parseGenerationConfig(json, name);
  }
  return { defaults: CARD_DEFAULTS, eosIds: undefined };
}
