import type { Dispatch } from "../gpu/kernel.ts";
import type { Part } from "../gpu/part.ts";
import type { Matrix } from "../kernels/matrix.ts";
import type { Weights } from "./weights.ts";

/** Dispatches one after the other, and at the end what they leave. */
export type Steps<Result> = Generator<Dispatch, Result>;

/**
 * The paper's five operations, and the head, for passes of T rows, compiled for a model. How many dispatches each takes
 * and how what goes between them is stored (`Tensor`), the set decides: the norm belongs to whoever makes x.
 */
export interface KernelSet<Tensor> {
  /** x = the embeddings of the rows' tokens [T, dim]; h = rmsNorm(x) · norm. */
  embed(norm: Part): Steps<{ x: Tensor; h: Tensor }>;
  /** q = rope(h Wᵀ) [T, heads headDim]; k and v are appended to each row's sequence, in a layer's part of the cache. */
  qkv(h: Tensor, weights: Matrix, layer: number): Steps<Tensor>;
  /** y = softmax(q kᵀ / √headDim) v over each row's sequence [T, heads headDim]. */
  attend(q: Tensor, layer: number): Steps<Tensor>;
  /** x += y Wᵀ; gives h = rmsNorm(x) · norm. */
  addInto(x: Tensor, y: Tensor, weights: Matrix, norm: Part): Steps<Tensor>;
  /** y = silu(h W_gateᵀ) ⊙ h W_upᵀ [T, hidden]. */
  gate(h: Tensor, weights: Matrix): Steps<Tensor>;
  /** Logits of the rows asked for, into the state's [MOST_DRAWN, vocab]. */
  head(h: Tensor): Steps<void>;
}

/**
 * The forward pass up to the head's input h [T, dim]. Recorded once per kernel set and replayed: only the rows change.
 */
export function* forward<Tensor>(k: KernelSet<Tensor>, { layers, norm }: Weights): Steps<Tensor> {
  let { x, h } = yield* k.embed(layers[0]!.inputNorm);
  for (const [l, layer] of layers.entries()) {
    const q = yield* k.qkv(h, layer.qkv, l);
    const attended = yield* k.attend(q, l);
    h = yield* k.addInto(x, attended, layer.out, layer.postAttentionNorm); //           x += attended W_outᵀ
    const gated = yield* k.gate(h, layer.gateUp);
    h = yield* k.addInto(x, gated, layer.down, layers[l + 1]?.inputNorm ?? norm); //    x += gated W_downᵀ
  }
  return h;
}

/** The dispatches of `steps` as a flat list, and what they leave. */
export function record<Result>(steps: Steps<Result>): { dispatches: Dispatch[]; result: Result } {
  const dispatches: Dispatch[] = [];
  for (;;) {
    const { done, value } = steps.next();
    if (done) return { dispatches, result: value };
    dispatches.push(value);
  }
}
