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

/** Allocates a state once; nothing is allocated per token. */
export function createState(
  gpu: Gpu,
  config: Config,
  rows: number,
  context: number,
  cache: CacheFormat,
): State {
  const { hidden_size: dim, head_dim: headDim, intermediate_size: hidden } = config;
  const { num_attention_heads: heads, num_key_value_heads: kvHeads } = config;
  const floats = (label: string, count: number) => gpu.buffer(label, 4 * count);
  const angles = ropeTable(headDim, context, config.rope_theta, config.rope_factor);
  const table = gpu.buffer("RoPE table", angles.byteLength);
  gpu.device.queue.writeBuffer(table, 0, angles as Float32Array<ArrayBuffer>);
  const layerBytes = cacheBytes(config, context, cache);
  return {
    rows,
    context,
    step: gpu.buffer("step", 16, GPUBufferUsage.UNIFORM),
    tokens: floats("tokens", rows),
    ropeTable: table,
    x: floats("x", rows * dim),
    h: floats("h", rows * dim),
    qkv: floats("qkv", rows * (heads + 2 * kvHeads) * headDim),
    attended: floats("attended", rows * heads * headDim),
    gateUp: floats("gateUp", rows * 2 * hidden),
    gated: floats("gated", rows * hidden),
    logits: floats("logits", config.vocab_size),
    best: floats("best", 2 * MAX_CANDIDATES),
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
