import type { Gpu } from "../../gpu/device.ts";
import { ATTENTION } from "../../kernels/attention.ts";
import { isMixed } from "../../kernels/cache.ts";
import { embed } from "../../kernels/embed.ts";
import { linear } from "../../kernels/linear.ts";
import type { Matrix } from "../../kernels/matrix.ts";
import { MIX } from "../../kernels/mix.ts";
import { PICK } from "../../kernels/pick.ts";
import { product } from "../../kernels/product.ts";
import { quadsBytes } from "../../kernels/quads.ts";
import { RMSNORM } from "../../kernels/rmsnorm.ts";
import { ROPE } from "../../kernels/rope.ts";
import { MOST_DRAWN } from "../../kernels/rows.ts";
import { SWIGLU } from "../../kernels/swiglu.ts";
import { prepare } from "../../kernels/way.ts";
import type { Config } from "../config.ts";
import type { KernelSet } from "../llama.ts";
import type { State } from "../state.ts";
import type { Weights } from "../weights.ts";

/** What goes between the kernels of `plain`, f32, for passes of up to T rows. */
export interface Activations {
  readonly x: GPUBuffer; //        [T, dim] the residual stream
  readonly h: GPUBuffer; //        [T, dim] normed
  readonly drawn: GPUBuffer; //    [MOST_DRAWN, dim] of the rows asked for
  readonly qkv: GPUBuffer; //      [T, (heads + 2 kvHeads) headDim]
  readonly attended: GPUBuffer; // [T, heads headDim]
  readonly gateUp: GPUBuffer; //   [T, 2 hidden]
  readonly gated: GPUBuffer; //    [T, hidden]
  readonly quads: GPUBuffer; //    [T] rows of the widest in 8 bits
}

/** Bytes of each for passes of `tokens` rows. */
export function activationBytes(config: Config, tokens: number): Record<keyof Activations, number> {
  const { hidden_size: dim, head_dim: headDim, intermediate_size: hidden } = config;
  const { num_attention_heads: heads, num_key_value_heads: kvHeads } = config;
  return {
    x: 4 * tokens * dim,
    h: 4 * tokens * dim,
    drawn: 4 * MOST_DRAWN * dim,
    qkv: 4 * tokens * (heads + 2 * kvHeads) * headDim,
    attended: 4 * tokens * heads * headDim,
    gateUp: 4 * tokens * 2 * hidden,
    gated: 4 * tokens * hidden,
    quads: quadsBytes(tokens, Math.max(dim, heads * headDim, hidden)),
  };
}

export function createActivations(gpu: Gpu, config: Config, tokens: number): Activations {
  const bytes = activationBytes(config, tokens);
  const buffer = (name: keyof Activations) => gpu.buffer(name, bytes[name]);
  return {
    x: buffer("x"),
    h: buffer("h"),
    drawn: buffer("drawn"),
    qkv: buffer("qkv"),
    attended: buffer("attended"),
    gateUp: buffer("gateUp"),
    gated: buffer("gated"),
    quads: buffer("quads"),
  };
}

export function destroyActivations<T extends { readonly [Name in keyof T]: GPUBuffer }>(
  activations: T,
): void {
  for (const buffer of Object.values<GPUBuffer>(activations)) buffer.destroy();
}

/**
 * The set that is always right: one kernel an idea, f32, on any features, for any slab and any mix of rows. Passes of
 * different T share the activations of the largest.
 * @param way How several rows are multiplied: one of PRODUCT_WAYS. Left out, exactly, as one row is.
 */
export async function plain(
  gpu: Gpu,
  config: Config,
  weights: Weights,
  {
    attention,
    rows: { buffer: rows, drawnBuffer: drawnRows },
    pages,
    ropeTable: table,
    layers,
    logits,
  }: State,
  { x, h, drawn, qkv, attended, gateUp, gated, quads }: Activations,
  tokens: number,
  way?: string,
): Promise<KernelSet<GPUBuffer>> {
  const { hidden_size: dim, rms_norm_eps: eps, intermediate_size: hidden } = config;
  const pass = { ...attention, tokens };
  const products = weights.layers.flatMap((layer) => [
    linearOf(layer.qkv),
    linearOf(layer.out, true),
    linearOf(layer.gateUp),
    linearOf(layer.down, true),
  ]);
  function linearOf(matrix: Matrix, accumulate = false) {
    return productWith(matrix, tokens, accumulate).then((product) => [matrix, product] as const);
  }
  function productWith(matrix: Matrix, count: number, accumulate = false) {
    return way === undefined
      ? linear(gpu, matrix, count, { accumulate })
      : product(gpu, matrix, count, way, quads, accumulate);
  }
  const [linears, lookUp, normalise, rotate, attend, mixBack, activate, pick, head] = await Promise.all([
    Promise.all(products).then((all) => new Map(all)),
    embed(gpu, weights.embed, tokens),
    prepare(gpu, RMSNORM, { dim, eps, tokens }),
    prepare(gpu, ROPE, pass),
    prepare(gpu, ATTENTION, pass),
    isMixed(attention.cache)
      ? prepare(gpu, MIX, { width: attention.heads * attention.headDim, tokens })
      : undefined,
    prepare(gpu, SWIGLU, { hidden, tokens }),
    prepare(gpu, PICK, { dim }),
    productWith(weights.head, tokens > 1 ? MOST_DRAWN : 1),
  ]);
  const multiply = (matrix: Matrix, x: GPUBuffer, y: GPUBuffer) => linears.get(matrix)!({ x, y, rows });
  return {
    *embed(norm) {
      yield* lookUp({ y: x, rows });
      yield normalise({ x, weight: norm, y: h, rows });
      return { x, h };
    },
    *qkv(h, weight, layer) {
      yield* multiply(weight, h, qkv);
      yield rotate({ qkv, table, ...layers[layer]!, rows, pages });
      return qkv;
    },
    *attend(qkv, layer) {
      yield attend({ qkv, ...layers[layer]!, y: attended, rows, pages });
      if (mixBack) yield mixBack({ y: attended, rows });
      return attended;
    },
    *addInto(x, y, weight, norm) {
      yield* multiply(weight, y, x);
      yield normalise({ x, weight: norm, y: h, rows });
      return h;
    },
    *gate(h, weight) {
      yield* multiply(weight, h, gateUp);
      yield activate({ gateUp, y: gated, rows });
      return gated;
    },
    *head(h) {
      if (tokens > 1) yield pick({ x: h, y: drawn, rows });
      yield* head(tokens > 1 ? { x: drawn, y: logits, rows: drawnRows } : { x: h, y: logits, rows });
    },
  };
}
