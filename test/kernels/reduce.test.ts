import { describe, expect, it } from "vitest";
import type { Gpu } from "../../src/gpu/device.ts";
import { compile } from "../../src/gpu/kernel.ts";
import { runAndReadFloats, testDeviceOptions, upload, useGpu } from "../support/gpu.ts";

/**
 * Reductions straight after one another, of values that tell them, workgroups and lanes apart; every lane writes what it
 * got. Four calls and 64 lanes: lavapipe unrolls them, and seven of 256 lanes take it ten times as long to compile.
 */
const SHADER = `
@group(0) @binding(0) var<storage, read_write> y: array<vec4f>; // [workgroups, WORKGROUP]

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, lane: Lane) {
  let i = f32(lane.index);
  let sum = workgroupSum(i + f32(workgroup.x), lane);
  let sums = workgroupSum4(vec4f(1.0, 2.0 * i, 3.0 * i, -i), lane);
  let smallest = -workgroupMax(1000.0 - i, lane);
  let largest = workgroupMax(i + 5.0, lane);
  y[workgroup.x * WORKGROUP + lane.index] = vec4f(sum, sums.x + sums.y + 2.0 * sums.z + 4.0 * sums.w, smallest, largest);
}`;

const LANES = 64;
const GROUPS = 7;

describe.each([
  ["highest", {}],
  ["core", { rung: "core" }],
] as const)("the reductions of the %s rung", (_, options) => {
  const gpu = useGpu({ ...testDeviceOptions(), ...options });

  it("give every lane its result, called in a row", async () => {
    const readShader = async (name: string) => (name === "in_a_row" ? SHADER : gpu().readShader(name));
    const on: Gpu = Object.create(gpu(), { readShader: { value: readShader } });
    const kernel = await compile(on, {
      label: "reductions in a row",
      files: [gpu().features.has("subgroups") ? "reduce_subgroup" : "reduce_workgroup", "in_a_row"],
      bindings: ["y"],
      constants: { WORKGROUP: LANES },
    });
    const y = upload(gpu(), new Float32Array(4 * GROUPS * LANES));
    const got = await runAndReadFloats(gpu(), [kernel({ y }, [GROUPS])], y);
    // Whole numbers below 2^24: exact in every order.
    const sum = (LANES * (LANES - 1)) / 2;
    const wanted = Array.from({ length: GROUPS }, (_, group) => {
      const each = [sum + group * LANES, LANES + 4 * sum, -1000, LANES + 4];
      return Array.from({ length: LANES }, () => each).flat();
    });
    expect([...got]).toEqual(wanted.flat());
  });
});
