import { elementwise } from "./elementwise.ts";
import type { Operation } from "./way.ts";

const LANES = elementwise(4);

/** y = the row of x whose logits are asked for: x [T, dim], y [dim]. */
export const PICK: Operation<{ readonly dim: number }, "x" | "y" | "rows"> = {
  name: "pick",
  bindings: () => ["x", "y", "rows"],
  ways: [
    {
      name: "plain",
      needs: [],
      files: () => ["rows", "pick"],
      constants: ({ dim }) => ({ DIM: dim, ...LANES.constants }),
      grid: ({ dim }) => LANES.grid(dim),
    },
  ],
};
