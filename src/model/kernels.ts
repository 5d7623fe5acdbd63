import { attention } from "../kernels/attention.ts";
import type { CacheFormat } from "../kernels/cache.ts";
import type { Gpu } from "../kernels/device.ts";
import { embed } from "../kernels/embed.ts";
import type { Dispatch } from "../kernels/kernel.ts";
import { type Linear, matmul, matvec } from "../kernels/linear.ts";
import type { Matrix } from "../kernels/matrix.ts";
import { rmsNorm } from "../kernels/rmsnorm.ts";
import { rope } from "../kernels/rope.ts";
import { swiglu } from "../kernels/swiglu.ts";
import type { Config } from "./config.ts";
import type { State } from "./state.ts";
import type { Weights } from "./weights.ts";

type Buffers<Binding extends string> = Readonly<Record<Binding, GPUBuffer>>;

/** The kernels of one forward pass of T tokens, compiled for a model: what is fixed is already bound. */
export interface Kernels {
  embed(buffers: Buffers<"tokens" | "y">): Dispatch[];
  norm(buffers: Buffers<"x" | "weight" | "y">): Dispatch;
  /** y = x Wᵀ, or y += x Wᵀ for the matrices that end a residual branch. */
  linear(matrix: Matrix, buffers: Buffers<"x" | "y">): Dispatch[];
  rope(buffers: Buffers<"qkv" | "keys" | "values">): Dispatch;
  attention(buffers: Buffers<"qkv" | "keys" | "values" | "y">): Dispatch;
  swiglu(buffers: Buffers<"gateUp" | "y">): Dispatch;
  lastNorm(buffers: Buffers<"x" | "weight" | "y">): Dispatch;
  lastHead(buffers: Buffers<"x" | "y">): Dispatch[];
}

/** Compiles the kernel set for passes of `tokens` tokens: matrix-vector kernels for one, tiled ones for more. */
export async function compileKernels(
  gpu: Gpu,
  config: Config,
  weights: Weights,
  state: State,
  tokens: number,
  cache: CacheFormat,
): Promise<Kernels> {
  const { step } = state;
  const { hidden_size: dim, rms_norm_eps: eps, intermediate_size: hidden } = config;
  const heads = {
    heads: config.num_attention_heads,
    kvHeads: config.num_key_value_heads,
    headDim: config.head_dim,
    context: state.context,
    cache,
  };
  const product = (matrix: Matrix, accumulate: boolean): Promise<Linear> =>
    tokens === 1 ? matvec(gpu, matrix, { accumulate }) : matmul(gpu, matrix, tokens, { accumulate });
  const products = new Map<Matrix, Promise<Linear>>();
  for (const { qkv, out, gateUp, down } of weights.layers) {
    for (const matrix of [qkv, gateUp]) products.set(matrix, product(matrix, false));
    for (const matrix of [out, down]) products.set(matrix, product(matrix, true));
  }
  products.set(weights.head, product(weights.head, false));

  const [compiled, gather, norm, lastNorm, rotate, attend, gate, lastHead] = await Promise.all([
    Promise.all(Array.from(products, async ([matrix, linear]) => [matrix, await linear] as const)),
    embed(gpu, weights.embed, tokens),
    rmsNorm(gpu, dim, eps),
    rmsNorm(gpu, dim, eps, true),
    rope(gpu, heads, tokens),
    attention(gpu, heads, tokens),
    swiglu(gpu, hidden, tokens),
    matvec(gpu, weights.head),
  ]);
  const linears = new Map(compiled);
  return {
    embed: (buffers) => gather({ ...buffers, step }),
    norm: (buffers) => norm({ ...buffers, step }, [tokens]),
    linear: (matrix, buffers) => linears.get(matrix)!({ ...buffers, step }),
    rope: (buffers) => rotate({ ...buffers, table: state.ropeTable, step }),
    attention: (buffers) => attend({ ...buffers, step }),
    swiglu: (buffers) => gate({ ...buffers, step }),
    lastNorm: (buffers) => lastNorm({ ...buffers, step }, [1]),
    lastHead: (buffers) => lastHead({ ...buffers, step }),
  };
}
