import type { Gpu } from "./device.ts";
import { compile } from "./kernel.ts";

/**
 * y[t, i] = x[t, i] · weight[i] / √(mean(x[t, :]²) + eps): x [T, dim], weight [dim], y [T, dim]. One workgroup a token;
 * with `lastOnly` only the last token's row of x is taken, into row 0 of y.
 */
export function rmsNorm(gpu: Gpu, dim: number, eps: number, lastOnly = false) {
  const reduce = gpu.rung === "core" ? "reduce_workgroup" : "reduce_subgroup";
  return compile(gpu, {
    label: lastOnly ? "rmsnorm of the last token" : "rmsnorm",
    files: ["step", reduce, "rmsnorm"],
    bindings: ["x", "weight", "y", "step"],
    constants: { DIM: dim, EPS: eps, LAST_ONLY: lastOnly },
  });
}
