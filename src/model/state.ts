import type { CacheFormat } from "../kernels/cache.ts";
import type { Gpu } from "../kernels/device.ts";
import { ropeTable } from "../kernels/rope.ts";
import type { Config } from "./config.ts";
import { MAX_CANDIDATES } from "./language-model.ts";

/** Everything a forward pass writes: activations for up to T tokens, and the KV cache. Scratch, but for the cache. */
export interface State {
  /** T: the most tokens of one pass. */
  readonly rows: number;
  /** C: the most tokens in the cache. */
  readonly context: number;
  readonly step: GPUBuffer; //     uniform Step: position and count of the pass
  readonly tokens: GPUBuffer; //   [T] u32
  readonly ropeTable: GPUBuffer; // [C, headDim / 2] cos and sin; constant
  readonly x: GPUBuffer; //        [T, dim] the residual stream
  readonly h: GPUBuffer; //        [T, dim]
  readonly qkv: GPUBuffer; //      [T, (heads + 2 kvHeads) headDim]
  readonly attended: GPUBuffer; // [T, heads headDim]
  readonly gateUp: GPUBuffer; //   [T, 2 hidden]
  readonly gated: GPUBuffer; //    [T, hidden]
  readonly logits: GPUBuffer; //   [vocab] of the last token
  readonly best: GPUBuffer; //     argmax: id and logit; top-k: MAX_CANDIDATES ids, then their logits
  readonly cache: readonly { readonly keys: GPUBuffer; readonly values: GPUBuffer }[]; // [kvHeads, C, headDim] each
}

/** Bytes of one layer's keys, or values, for `context` tokens. */
export function cacheBytes(config: Config, context: number, format: CacheFormat): number {
  return config.num_key_value_heads * context * config.head_dim * (format === "f16" ? 2 : 4);
}

/** Bytes of a state's other buffers, by name, for passes of `rows` tokens and a cache of `context`. */
export function stateBytes(config: Config, rows: number, context: number) {
  const { hidden_size: dim, head_dim: headDim, intermediate_size: hidden } = config;
  const { num_attention_heads: heads, num_key_value_heads: kvHeads } = config;
  return {
    step: 16,
    tokens: 4 * rows,
    ropeTable: 4 * context * headDim,
    x: 4 * rows * dim,
    h: 4 * rows * dim,
    qkv: 4 * rows * (heads + 2 * kvHeads) * headDim,
    attended: 4 * rows * heads * headDim,
    gateUp: 4 * rows * 2 * hidden,
    gated: 4 * rows * hidden,
    logits: 4 * config.vocab_size,
    best: 8 * MAX_CANDIDATES,
  };
}

/** Allocates a state once; nothing is allocated per token. */
export function createState(
  gpu: Gpu,
  config: Config,
  rows: number,
  context: number,
  cache: CacheFormat,
): State {
  const bytes = stateBytes(config, rows, context);
  const buffer = (name: keyof typeof bytes, usage = 0) => gpu.buffer(name, bytes[name], usage);
  const table = buffer("ropeTable");
  const angles = ropeTable(config.head_dim, context, config.rope_theta, config.rope_factor);
  gpu.device.queue.writeBuffer(table, 0, angles as Float32Array<ArrayBuffer>);
  const layerBytes = cacheBytes(config, context, cache);
  return {
    rows,
    context,
    step: buffer("step", GPUBufferUsage.UNIFORM),
    tokens: buffer("tokens"),
    ropeTable: table,
    x: buffer("x"),
    h: buffer("h"),
    qkv: buffer("qkv"),
    attended: buffer("attended"),
    gateUp: buffer("gateUp"),
    gated: buffer("gated"),
    logits: buffer("logits"),
    best: buffer("best"),
    cache: Array.from({ length: config.num_hidden_layers }, (_, l) => ({
      keys: gpu.buffer(`keys of layer ${l}`, layerBytes),
      values: gpu.buffer(`values of layer ${l}`, layerBytes),
    })),
  };
}

/** Releases every buffer of a state. */
export function destroyState(state: State): void {
  const { cache, rows: _rows, context: _context, ...buffers } = state;
  for (const buffer of Object.values(buffers)) buffer.destroy();
  for (const { keys, values } of cache) {
    keys.destroy();
    values.destroy();
  }
}
