import type { Constants, Workgroups } from "../gpu/kernel.ts";

/** Lanes of a workgroup of the kernels in which every lane makes some values of its own. */
const LANES = 64;

/** The constants of such a kernel, and its grid: `width` values across, `perLane` a lane, and `tokens` rows down. */
export function elementwise(perLane: number): {
  readonly constants: Constants;
  grid(width: number, tokens?: number): Workgroups;
} {
  return {
    constants: { LANES, PER_LANE: perLane },
    grid: (width, tokens = 1) => [Math.ceil(width / (LANES * perLane)), tokens],
  };
}
