import { elementwise } from "./elementwise.ts";
import type { Operation } from "./way.ts";

const LANES = elementwise(4);

/** sums[k] += Σₜ x[t, k]² over the rows of a pass that are tokens: x [T, columns], sums [columns]. */
export const COLUMN_SQUARES: Operation<{ readonly columns: number }, "x" | "sums" | "rows"> = {
  name: "column squares",
  bindings: () => ["x", "sums", "rows"],
  ways: [
    {
      name: "plain",
      needs: [],
      files: () => ["rows", "squares"],
      constants: ({ columns }) => ({ COLUMNS: columns, ...LANES.constants }),
      grid: ({ columns }) => LANES.grid(columns),
    },
  ],
};
