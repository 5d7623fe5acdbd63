import { elementwise } from "./elementwise.ts";
import type { Operation } from "./way.ts";

const LANES = elementwise(4);

/** Random projections of a row: one for each bit of signsOf(). */
export const PROJECTIONS = 32;

/** Projections whose sums a lane of sketch.wgsl keeps. */
const PROJECTIONS_PER_LANE = 8;

/** projections[t, i] = Σₖ ±x[t, k], by bit i of signsOf(k), of the rows of a pass that are tokens: x [T, columns], projections [T, PROJECTIONS]. */
export const PROJECT: Operation<
  { readonly columns: number; readonly tokens: number },
  "x" | "projections" | "rows"
> = {
  name: "project",
  bindings: () => ["x", "projections", "rows"],
  ways: [
    {
      name: "plain",
      needs: [],
      files: () => ["rows", "project"],
      constants: ({ columns }) => ({ COLUMNS: columns }),
      grid: ({ tokens }) => [tokens],
    },
  ],
};

/** sketch[i, k] += Σₜ projections[t, i] x[t, k] over the rows of a pass that are tokens: sketch [PROJECTIONS, columns]. */
export const SKETCH: Operation<{ readonly columns: number }, "x" | "projections" | "sketch" | "rows"> = {
  name: "sketch",
  bindings: () => ["x", "projections", "sketch", "rows"],
  ways: [
    {
      name: "plain",
      needs: [],
      files: () => ["rows", "sketch"],
      constants: ({ columns }) => ({ COLUMNS: columns, ...LANES.constants }),
      grid: ({ columns }) => LANES.grid(columns, PROJECTIONS / PROJECTIONS_PER_LANE),
    },
  ],
};

/** Bit i is set where projection i adds column k, and not where it subtracts it: an integer hash of k, as project.wgsl has it. */
export function signsOf(k: number): number {
  let bits = k + 1;
  bits = Math.imul(bits ^ (bits >>> 16), 0x7feb352d);
  bits = Math.imul(bits ^ (bits >>> 15), 0x846ca68b);
  return (bits ^ (bits >>> 16)) >>> 0;
}
