import { elementwise } from "./elementwise.ts";
import type { Operation } from "./way.ts";

const LANES = elementwise(4);

/** sums[0, k] += Σₜ x[t, k]² and sums[1, k] += Σₜ x[t, k] over the rows of a pass that are tokens: x [T, columns]. */
export const COLUMN_MOMENTS: Operation<{ readonly columns: number }, "x" | "sums" | "rows"> = {
  name: "column moments",
  bindings: () => ["x", "sums", "rows"],
  ways: [
    {
      name: "plain",
      needs: [],
      files: () => ["rows", "moments"],
      constants: ({ columns }) => ({ COLUMNS: columns, ...LANES.constants }),
      grid: ({ columns }) => LANES.grid(columns),
    },
  ],
};
