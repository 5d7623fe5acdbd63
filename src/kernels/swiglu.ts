import { elementwise } from "./elementwise.ts";
import type { Operation } from "./way.ts";

const LANES = elementwise(4);

/** y[t, i] = silu(gate[t, i]) · up[t, i]: gateUp [T, 2 · hidden] with gate first, y [T, hidden]. */
export const SWIGLU: Operation<
  { readonly hidden: number; readonly tokens: number },
  "gateUp" | "y" | "rows"
> = {
  name: "swiglu",
  bindings: () => ["gateUp", "y", "rows"],
  ways: [
    {
      name: "plain",
      needs: [],
      files: () => ["rows", "swiglu"],
      constants: ({ hidden }) => ({ HIDDEN: hidden, ...LANES.constants }),
      grid: ({ hidden, tokens }) => LANES.grid(hidden, tokens),
    },
  ],
};
