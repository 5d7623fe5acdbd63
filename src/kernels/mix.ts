import { elementwise } from "./elementwise.ts";
import type { Operation } from "./way.ts";

/** Four values a lane. */
const { constants, grid } = elementwise(4);

/**
 * y = y mixed in groups of 32, in place: what attention sums up of a mixed cache, as it would be of the values themselves.
 * Bindings: y [T, width] f32, width a multiple of 32; rows.
 */
export const MIX: Operation<{ readonly width: number; readonly tokens: number }, "y" | "rows"> = {
  name: "mix",
  bindings: () => ["y", "rows"],
  ways: [
    {
      name: "plain",
      needs: [],
      files: () => ["rows", "hadamard", "mix"],
      constants: ({ width }) => ({
        WIDTH: width,
        HADAMARD_LANES: constants.LANES!,
        PER_LANE: constants.PER_LANE!,
      }),
      grid: ({ width, tokens }) => grid(width, tokens),
    },
  ],
};
