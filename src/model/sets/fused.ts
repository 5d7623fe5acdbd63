import type { Gpu } from "../../gpu/device.ts";
import type { Bound, Dispatch } from "../../gpu/kernel.ts";
import {
  ATTENTION_MERGE,
  ATTENTION_SPLIT,
  ATTENTION_WHOLE,
  SPLIT_POSITIONS,
  splitBytes,
} from "../../kernels/attention-split.ts";
import type { AttentionShape } from "../../kernels/cache.ts";
import { ADD, EMBED_GROUP, GATE, HEAD, QKV } from "../../kernels/fused.ts";
import { type Matrix, type Slab, slabBuffers, slabShape } from "../../kernels/matrix.ts";
import { type Arithmetic, canMultiply, vectorBytes } from "../../kernels/vector.ts";
import { type Buffers, describeWrong, hasWay, type Operation, prepare } from "../../kernels/way.ts";
import type { Config } from "../config.ts";
import type { KernelSet } from "../llama.ts";
import type { State } from "../state.ts";
import type { Weights } from "../weights.ts";

/** What goes between the kernels of `fused`, for passes of T rows; vectors as their arithmetic stores them. */
export interface FusedActivations {
  readonly x: GPUBuffer; //        [T, dim] f32, the residual stream
  readonly h: GPUBuffer; //        vectors of dim: x · weight of the norm that comes next
  readonly q: GPUBuffer; //        [T, heads, headDim] f32
  readonly parts: GPUBuffer; //    [T, heads, splits, headDim + 4] f32
  readonly attended: GPUBuffer; // vectors of heads · headDim
  readonly gated: GPUBuffer; //    vectors of hidden
}

/** Workgroups that share a head's positions at the end of the context. */
export function fusedSplits({ context }: Pick<AttentionShape, "context">): number {
  return Math.ceil(context / SPLIT_POSITIONS);
}

/** Bytes of each. */
export function fusedBytes(
  config: Config,
  attention: AttentionShape,
  arithmetic: Arithmetic,
  tokens: number,
): Record<keyof FusedActivations, number> {
  const { hidden_size: dim, intermediate_size: hidden } = config;
  const { heads, headDim } = attention;
  return {
    x: 4 * tokens * dim,
    h: tokens * vectorBytes(arithmetic, dim),
    q: 4 * tokens * heads * headDim,
    parts: tokens * splitBytes(attention, fusedSplits(attention)),
    attended: tokens * vectorBytes(arithmetic, heads * headDim),
    gated: tokens * vectorBytes(arithmetic, hidden),
  };
}

export function createFused(
  gpu: Gpu,
  config: Config,
  attention: AttentionShape,
  arithmetic: Arithmetic,
  tokens: number,
): FusedActivations {
  const bytes = fusedBytes(config, attention, arithmetic, tokens);
  const rows = tokens === 1 ? "one row" : `${tokens} rows`;
  const buffer = (name: keyof FusedActivations) => gpu.buffer(`${name} of ${rows}`, bytes[name]);
  return {
    x: buffer("x"),
    h: buffer("h"),
    q: buffer("q"),
    parts: buffer("parts"),
    attended: buffer("attended"),
    gated: buffer("gated"),
  };
}

/**
 * Whether a model can run on `fused`: its heads are whole groups, and a workgroup's rows of qkv and of gate and up stand in
 * one slab. Where not, `plain` runs it.
 */
export function canFuse({ head_dim: headDim }: Config, { layers }: Weights): boolean {
  return (
    headDim % 32 === 0 && layers.every(({ qkv, gateUp }) => qkv.slabs.length + gateUp.slabs.length === 2)
  );
}

/**
 * Whether early rows are quicker with attention that is not split. There is none for processors, whose way to split is much
 * the quicker one.
 */
export function gainsByWhole(gpu: Gpu): boolean {
  return !gpu.features.has("narrow") && hasWay(gpu, ATTENTION_WHOLE);
}

/** Whether all matrices that one vector after the other goes through can be multiplied in an arithmetic. */
export function canCompute({ layers, head }: Weights, arithmetic: Arithmetic): boolean {
  const matrices = [head, ...layers.flatMap(({ qkv, out, gateUp, down }) => [qkv, out, gateUp, down])];
  return matrices.every(({ format }) => canMultiply(format, arithmetic));
}

/** What is wrong on a GPU with a kernel that a set with products in a way needs; undefined where nothing is. */
export function describeUnsound(gpu: Gpu, way: string): string | undefined {
  const products = [QKV, ADD, GATE, HEAD].map((operation) => describeWrong(gpu, operation, way));
  const others = [EMBED_GROUP, ATTENTION_SPLIT, ATTENTION_MERGE].map((operation) =>
    hasWay(gpu, operation) ? undefined : describeWrong(gpu, operation),
  );
  return [...products, ...others].find((wrong) => wrong !== undefined);
}

type AttentionBuffers = Buffers<"q" | "keys" | "values" | "rows" | "pages">;

interface FusedOptions {
  readonly arithmetic: Arithmetic;
  /** How the products share their rows out: one of GEMV_WAYS. */
  readonly way?: string;
  /** Whether a row sees SPLIT_POSITIONS positions at most, so that nothing is split and merged. */
  readonly whole?: boolean;
  /** Rows of a pass, one of FEW. Default 1. */
  readonly tokens?: number;
}

/**
 * The set for decoding, few rows: the norm, the rotation, the cache, SwiGLU and the residual are in the products that make
 * and take them, six dispatches a layer, five where attention is `whole`.
 */
export async function fused(
  gpu: Gpu,
  config: Config,
  weights: Weights,
  { attention, rows: { buffer: rows }, pages, ropeTable: table, layers, logits }: State,
  { x, h, q, parts, attended, gated }: FusedActivations,
  { arithmetic, way, whole = false, tokens = 1 }: FusedOptions,
): Promise<KernelSet<GPUBuffer>> {
  const { hidden_size: dim, rms_norm_eps: eps, intermediate_size: hidden } = config;
  const products = new Map<Matrix, (buffers: Readonly<Record<string, Bound>>) => Dispatch[]>();

  /** A dispatch for each slab of a matrix; the buffers besides the slab's are given later. */
  const prepareSlabs = async <Shape, Binding extends string>(
    matrix: Matrix,
    operation: Operation<Shape, Binding>,
    shapeOf: (slab: Slab) => Shape,
    name = way,
  ) => {
    const { slabs } = matrix;
    const dispatches = await Promise.all(slabs.map((slab) => prepare(gpu, operation, shapeOf(slab), name)));
    return (buffers: Readonly<Record<string, Bound>>) =>
      slabs.map((slab, i) => dispatches[i]!({ ...buffers, ...slabBuffers(slab) } as Buffers<Binding>));
  };
  const product = async <Shape, Binding extends string>(
    matrix: Matrix,
    operation: Operation<Shape, Binding>,
    shapeOf: (slab: Slab) => Shape,
  ) => {
    products.set(matrix, await prepareSlabs(matrix, operation, shapeOf));
  };
  const prepareAttention = async () => {
    if (whole) {
      const attend = await prepare(gpu, ATTENTION_WHOLE, { ...attention, arithmetic, tokens });
      return (buffers: AttentionBuffers) => [attend({ ...buffers, stored: attended })];
    }
    const split = { ...attention, splits: fusedSplits(attention), arithmetic, tokens };
    const [attend, merge] = await Promise.all([
      prepare(gpu, ATTENTION_SPLIT, split),
      prepare(gpu, ATTENTION_MERGE, split),
    ]);
    return (buffers: AttentionBuffers) => [
      attend({ ...buffers, parts }),
      merge({ shares: parts, stored: attended }),
    ];
  };
  const shape = (matrix: Matrix) => (slab: Slab) => ({ ...slabShape(matrix, slab), arithmetic, eps, tokens });
  const [embed, head, attend] = await Promise.all([
    prepareSlabs(
      weights.embed,
      EMBED_GROUP,
      (slab) => ({ ...slabShape(weights.embed, slab), arithmetic, storedColumns: dim, tokens }),
      "plain",
    ),
    prepareSlabs(weights.head, HEAD, (slab) => ({
      ...shape(weights.head)(slab),
      outputs: weights.head.rows,
    })),
    prepareAttention(),
    ...weights.layers.flatMap(({ qkv, out, gateUp, down }) => [
      product(qkv, QKV, (slab) => ({ ...shape(qkv)(slab), attention })),
      product(out, ADD, (slab) => ({ ...shape(out)(slab), storedColumns: dim })),
      product(gateUp, GATE, (slab) => ({ ...shape(gateUp)(slab), storedColumns: hidden })),
      product(down, ADD, (slab) => ({ ...shape(down)(slab), storedColumns: dim })),
    ]),
  ]);
  return {
    *embed(norm) {
      yield* embed({ x, rows, norm, stored: h });
      return { x, h };
    },
    *qkv(h, weight, layer) {
      yield* products.get(weight)!({ input: h, table, rows, ...layers[layer]!, q });
      return q;
    },
    *attend(q, layer) {
      yield* attend({ q, ...layers[layer]!, rows, pages });
      return attended;
    },
    *addInto(x, y, weight, norm) {
      yield* products.get(weight)!({ input: y, x, norm, stored: h });
      return h;
    },
    *gate(h, weight) {
      yield* products.get(weight)!({ input: h, stored: gated });
      return gated;
    },
    *head(h) {
      yield* head({ input: h, logits });
    },
  };
}
