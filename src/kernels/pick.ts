import { elementwise } from "./elementwise.ts";
import { MOST_DRAWN } from "./rows.ts";
import type { Operation } from "./way.ts";

const LANES = elementwise(4);

/** y = the rows of x whose logits are asked for: x [T, dim], y [MOST_DRAWN, dim]. */
export const PICK: Operation<{ readonly dim: number }, "x" | "y" | "rows"> = {
  name: "pick",
  bindings: () => ["x", "y", "rows"],
  ways: [
    {
      name: "plain",
      needs: [],
      files: () => ["rows", "pick"],
      constants: ({ dim }) => ({ DIM: dim, MOST_DRAWN, ...LANES.constants }),
      grid: ({ dim }) => LANES.grid(dim, MOST_DRAWN),
    },
  ],
};
