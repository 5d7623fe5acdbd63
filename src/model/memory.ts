import { DeviceError } from "../errors.ts";
import { describeAdapter } from "../gpu/adapter.ts";
import type { Gpu } from "../gpu/device.ts";
import { type CacheFormat, cacheBytes, checkShape } from "../kernels/cache.ts";
import { FEW } from "../kernels/gemv.ts";
import { SLAB_ALIGNMENT } from "../kernels/matrix.ts";
import { showBytes } from "../show.ts";
import { storedBytes } from "../stored.ts";
import type { Config } from "./config.ts";
import { fusedBytes } from "./sets/fused.ts";
import { activationBytes } from "./sets/plain.ts";
import { attentionShape, stateBytes } from "./state.ts";
import { type FormatOf, tensorShapes } from "./weights.ts";

/** How a model is stored on an adapter. */
export interface Storage {
  readonly formatOf: FormatOf;
  readonly cache: CacheFormat;
  /** Tokens that one sequence may have. */
  readonly context: number;
  /** Tokens the KV cache holds, of all sequences: at least the context, and without it the context. */
  readonly cacheTokens?: number;
  /** Tokens of one prefill pass. */
  readonly chunk: number;
}

/** What of a device says whether a model fits. */
export type GpuRoom = Pick<Gpu, "info" | "bindingLimit" | "systemMemory">;

/** What a model takes on an adapter, in bytes. */
export interface Memory {
  readonly weights: number;
  /** Of all layers. */
  readonly cache: number;
  readonly activations: number;
  readonly total: number;
}

export function memoryOf(config: Config, storage: Storage): Memory {
  const { formatOf, cache, context, cacheTokens, chunk } = storage;
  let weights = 0;
  for (const [name, [rows, columns]] of tensorShapes(config)) {
    // Vectors are stored as float32.
    const stored =
      columns === undefined ? { words: 4 * rows!, scales: 0 } : storedBytes(formatOf(name), rows!, columns);
    weights += stored.words + stored.scales;
  }
  const shape = attentionShape(config, context, cache, cacheTokens);
  const keysAndValues = 2 * config.num_hidden_layers * cacheBytes(shape);
  // Of the kernels of few rows, those that take the most: what several rows need is allocated when they come.
  const buffers = [
    stateBytes(config, shape, chunk),
    activationBytes(config, chunk),
    ...FEW.map((tokens) => fusedBytes(config, shape, "f32", tokens)),
  ];
  const activations = buffers.flatMap((bytes) => Object.values(bytes)).reduce((a, b) => a + b);
  return { weights, cache: keysAndValues, activations, total: weights + keysAndValues + activations };
}

/**
 * Refuses a model that cannot fit, before anything is allocated. How much memory a graphics card has, WebGPU does not
 * tell: whether all of it fits there, only allocating tells.
 * @throws DeviceError saying what is needed and what there is, ConfigError where the cache cannot be stored as asked.
 */
export function checkFit(gpu: GpuRoom, config: Config, storage: Storage): void {
  const { formatOf, cache, context, cacheTokens = context, chunk } = storage;
  const name = describeAdapter(gpu.info);
  const shape = attentionShape(config, context, cache, cacheTokens);
  checkShape(shape);
  const { ropeTable, ...state } = stateBytes(config, shape, chunk);
  const activations = { ...state, ...activationBytes(config, chunk) };
  const slabs = Array.from(tensorShapes(config), ([tensor, [, columns]]) => {
    if (columns === undefined) return { what: tensor, bytes: 0 };
    const format = formatOf(tensor);
    const what = `A run of ${SLAB_ALIGNMENT} rows of ${columns} weights as ${format}`;
    return { what, bytes: storedBytes(format, SLAB_ALIGNMENT, columns).words };
  });
  const largest = slabs.reduce((a, b) => (b.bytes > a.bytes ? b : a));
  const buffers: [what: string, bytes: number, advice: string][] = [
    [
      `A layer's KV cache of ${cacheTokens} tokens`,
      cacheBytes(shape),
      cacheTokens > context ? "fewer cacheTokens" : "a shorter context",
    ],
    [`The RoPE table of ${context} tokens`, ropeTable, "a shorter context"],
    [`The activations of ${chunk} tokens`, Math.max(...Object.values(activations)), "a smaller chunk"],
    [largest.what, largest.bytes, "narrower weights"],
  ];
  for (const [what, bytes, advice] of buffers) {
    if (bytes <= gpu.bindingLimit) continue;
    throw new DeviceError(
      `${what} needs a buffer of ${bytes} bytes; ${name} binds at most ${gpu.bindingLimit}. Choose ${advice}.`,
    );
  }
  const have = gpu.info.isFallbackAdapter ? gpu.systemMemory : undefined;
  const { total } = memoryOf(config, storage);
  if (have !== undefined && total > have) {
    throw new DeviceError(
      `The model needs ${describeNeed(config, storage)}; ${name} is software and takes it from the machine's ${showBytes(have)}. Choose ` +
        `narrower weights or a shorter context.`,
    );
  }
}

/** For messages: "9.07 GB (weights as q4 7.37 GB, KV cache of 2048 tokens 1.68 GB)". */
export function describeNeed(config: Config, storage: Storage): string {
  const { weights, cache, total } = memoryOf(config, storage);
  const { cacheTokens = storage.context } = storage;
  const matrices = Array.from(tensorShapes(config)).filter(([, shape]) => shape.length > 1);
  const formats = [...new Set(matrices.map(([name]) => storage.formatOf(name)))].join(" and ");
  return (
    `${showBytes(total)} (weights as ${formats} ${showBytes(weights)}, KV cache of ` +
    `${cacheTokens} tokens ${showBytes(cache)})`
  );
}
