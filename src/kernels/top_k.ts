import { checkSelection, type SelectionBuffers, type SelectionShape } from "./argmax.ts";
import type { Gpu } from "./device.ts";
import { compile, type Dispatch } from "./kernel.ts";

/** How many ids top_k.wgsl selects. */
export const TOP_K = 64;

/** The id in places that are left over where the limit is below TOP_K; their logit is -∞. */
export const NO_ID = 0xffffffff;

/**
 * best [2 · TOP_K] = the ids of the TOP_K largest logits among ids below the limit, by falling logit, of equal ones by
 * rising id; then those logits. NaN comes before every number.
 */
export async function topK(gpu: Gpu, shape: SelectionShape) {
  checkSelection(shape);
  const kernel = await compile(gpu, {
    label: "top_k",
    files: ["top_k"],
    bindings: ["logits", "best"],
    constants: { LIMIT: shape.limit },
  });
  return (buffers: SelectionBuffers): Dispatch => kernel({ ...buffers }, [1]);
}
