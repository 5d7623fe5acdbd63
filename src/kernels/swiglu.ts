import type { Gpu } from "./device.ts";
import { compile, type Dispatch } from "./kernel.ts";

/** Values that one workgroup of swiglu.wgsl makes. */
const VALUES_PER_WORKGROUP = 256;

/** y[t, i] = silu(gate[t, i]) · up[t, i]: gateUp [T, 2 · hidden] with gate first, y [T, hidden]. */
export async function swiglu(gpu: Gpu, hidden: number, tokens: number) {
  const kernel = await compile(gpu, {
    label: "swiglu",
    files: ["step", "swiglu"],
    bindings: ["gateUp", "y", "step"],
    constants: { HIDDEN: hidden },
  });
  return (buffers: { gateUp: GPUBuffer; y: GPUBuffer; step: GPUBuffer }): Dispatch =>
    kernel(buffers, [Math.ceil(hidden / VALUES_PER_WORKGROUP), tokens]);
}
