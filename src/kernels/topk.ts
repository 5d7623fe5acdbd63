import { type SelectionShape, selectionLimit } from "./argmax.ts";
import type { Operation } from "./way.ts";

/** How many ids topk.wgsl selects. */
export const TOP_K = 64;

/** The id in places that are left over where the limit is below TOP_K; their logit is -∞. */
export const NO_ID = 0xffffffff;

/**
 * best [drawn, 2 · TOP_K] = of each row the ids of the TOP_K largest logits among ids below the limit, by falling logit, of equal ones by
 * rising id; then those logits. NaN comes before every number. Bindings as ARGMAX has them.
 */
export const TOP: Operation<SelectionShape, "logits" | "best" | "rows"> = {
  name: "topk",
  bindings: () => ["logits", "best", "rows"],
  ways: [
    {
      name: "bound",
      needs: [],
      files: () => ["rows", "topk"],
      constants: (shape) => ({ VOCAB: shape.vocab, LIMIT: selectionLimit(shape), K: TOP_K }),
      grid: ({ drawn }) => [drawn],
    },
  ],
};
