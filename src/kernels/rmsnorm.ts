import { REDUCE_LANES, reducing } from "./reduce.ts";
import type { Operation } from "./way.ts";

type NormShape = {
  /** Values of a row: a multiple of 4. */
  readonly dim: number;
  readonly eps: number;
  /** T: rows of the pass. */
  readonly tokens: number;
};

/** y[t, i] = x[t, i] · weight[i] / √(mean(x[t, :]²) + eps): x [T, dim], weight [dim], y [T, dim]. */
export const RMSNORM: Operation<NormShape, "x" | "weight" | "y" | "rows"> = {
  name: "rmsnorm",
  bindings: () => ["x", "weight", "y", "rows"],
  ways: reducing("", (part) => ({
    files: () => ["rows", part, "rmsnorm"],
    constants: ({ dim, eps }) => ({ DIM: dim, EPS: eps, WORKGROUP: REDUCE_LANES }),
    grid: ({ tokens }) => [tokens],
  })),
};
