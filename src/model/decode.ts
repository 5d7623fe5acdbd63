import type { Gpu } from "../gpu/device.ts";
import { missingFeatures } from "../gpu/features.ts";
import { ARITHMETIC_NEEDS, ARITHMETICS, type Arithmetic } from "../kernels/vector.ts";
import type { Config } from "./config.ts";
import { canCompute, canFuse } from "./sets/fused.ts";
import type { Weights } from "./weights.ts";

/** Which kernels a pass of one row runs on. */
export type Decode =
  | { readonly set: "plain" }
  | {
      readonly set: "fused";
      readonly arithmetic: Arithmetic;
      /** How its products share their rows out: see gemvWays(). */
      readonly way: string;
    };

/** The kernels that a model and an adapter allow, the best first. */
export function chooseDecode(gpu: Gpu, config: Config, weights: Weights): Decode {
  const arithmetic = ARITHMETICS.find(
    (name) => missingFeatures(ARITHMETIC_NEEDS[name], gpu.features).length === 0 && canCompute(weights, name),
  );
  if (arithmetic === undefined || !canFuse(config, weights)) return { set: "plain" };
  // A processor gains nothing with halves, and takes seconds to compile their kernels.
  if (gpu.info.isFallbackAdapter && !canCompute(weights, "i8")) return { set: "plain" };
  const tile = gpu.info.isFallbackAdapter ? "4x2" : "16x4";
  return { set: "fused", arithmetic, way: `${arithmetic} ${tile}` };
}
