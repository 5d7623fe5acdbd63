import { type AttentionShape, shapeConstants } from "./cache.ts";
import type { Gpu } from "./device.ts";
import { compile, type Dispatch } from "./kernel.ts";

export interface AttentionBuffers {
  /** [T, (heads + 2 · kvHeads) · headDim] f32; only q, already rotated, is read. */
  readonly qkv: GPUBuffer;
  /** [kvHeads, context, headDim] in the cache's format, this pass's keys included. */
  readonly keys: GPUBuffer;
  /** [kvHeads, context, headDim] in the cache's format, this pass's values included. */
  readonly values: GPUBuffer;
  /** [T, heads · headDim] f32. */
  readonly y: GPUBuffer;
  readonly step: GPUBuffer;
}

export type Attention = (buffers: AttentionBuffers) => Dispatch;

const BINDINGS = ["qkv", "keys", "values", "y", "step"] as const;

/** Lanes that share one head of one row: the most that WebGPU guarantees, for there are few heads to fill a GPU with. */
const DECODE_LANES = 256;

/** Query rows that share a workgroup's tiles of keys and values in attention_prefill.wgsl. */
const PREFILL_ROWS = 32;

/**
 * Causal attention for passes of `tokens` rows: y[t] = softmax(q[t] · keys / √headDim) · values over the cache up to
 * step.position + t.
 */
export function attention(gpu: Gpu, shape: AttentionShape, tokens: number): Promise<Attention> {
  return tokens === 1 ? attentionDecode(gpu, shape, tokens) : attentionPrefill(gpu, shape, tokens);
}

/** Attention for one query row, or a few each on its own. */
export async function attentionDecode(gpu: Gpu, shape: AttentionShape, tokens: number): Promise<Attention> {
  const reduce = gpu.rung === "core" ? "reduce_workgroup" : "reduce_subgroup";
  const kernel = await compile(gpu, {
    label: "attention_decode",
    files: ["step", `cache_${shape.cache}`, reduce, "attention_decode"],
    bindings: BINDINGS,
    constants: { ...shapeConstants(shape), WORKGROUP: DECODE_LANES },
  });
  return (buffers) => kernel({ ...buffers }, [shape.heads, tokens]);
}

/** Attention for many query rows, which share tiles of keys and values. */
export async function attentionPrefill(gpu: Gpu, shape: AttentionShape, tokens: number): Promise<Attention> {
  const kernel = await compile(gpu, {
    label: "attention_prefill",
    files: ["step", `cache_${shape.cache}`, "attention_prefill"],
    bindings: BINDINGS,
    constants: shapeConstants(shape),
  });
  return (buffers) => kernel({ ...buffers }, [shape.heads, Math.ceil(tokens / PREFILL_ROWS)]);
}
