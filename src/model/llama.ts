import type { Dispatch } from "../kernels/kernel.ts";
import type { Kernels } from "./kernels.ts";
import type { State } from "./state.ts";
import type { Weights } from "./weights.ts";

/**
 * One forward pass up to the last layer, as the kernels it dispatches; T is 1 for decode and the chunk for prefill.
 * Recorded once per kernel set and replayed: only `step` and `tokens` change between replays.
 */
export function* forward(k: Kernels, w: Weights, s: State): Generator<Dispatch> {
  yield* k.embed({ tokens: s.tokens, y: s.x }); //                      x        [T, dim]
  for (const [l, layer] of w.layers.entries()) {
    const { keys, values } = s.cache[l]!; //                            [kvHeads, context, headDim] each
    yield k.norm({ x: s.x, weight: layer.inputNorm, y: s.h }); //       h        [T, dim]
    yield* k.linear(layer.qkv, { x: s.h, y: s.qkv }); //                qkv      [T, (heads + 2 kvHeads) headDim]
    yield k.rope({ qkv: s.qkv, keys, values }); //                      rotates q, appends k and v to the cache
    yield k.attention({ qkv: s.qkv, keys, values, y: s.attended }); //  attended [T, heads headDim]
    yield* k.linear(layer.out, { x: s.attended, y: s.x }); //           x +=     [T, dim]
    yield k.norm({ x: s.x, weight: layer.postAttentionNorm, y: s.h });
    yield* k.linear(layer.gateUp, { x: s.h, y: s.gateUp }); //          gateUp   [T, 2 hidden]
    yield k.swiglu({ gateUp: s.gateUp, y: s.gated }); //                gated    [T, hidden]
    yield* k.linear(layer.down, { x: s.gated, y: s.x }); //             x +=     [T, dim]
  }
}

/** Logits of the pass's last token. */
export function* lastLogits(k: Kernels, w: Weights, s: State): Generator<Dispatch> {
  yield k.lastNorm({ x: s.x, weight: w.norm, y: s.h }); //              h        [dim], row 0
  yield* k.lastHead({ x: s.h, y: s.logits }); //                        logits   [vocab]
}

/** Logits of every token of the pass, into `y` [T, vocab]. */
export function* allLogits(k: Kernels, w: Weights, s: State, y: GPUBuffer): Generator<Dispatch> {
  yield k.norm({ x: s.x, weight: w.norm, y: s.h }); //                  h        [T, dim]
  yield* k.linear(w.head, { x: s.h, y }); //                            y        [T, vocab]
}
