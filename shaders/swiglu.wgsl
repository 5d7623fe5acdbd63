// y[t, i] = silu(gate[t, i]) * up[t, i], silu(z) = z / (1 + exp(-z))
// Links with step.wgsl. Grid: ceil(HIDDEN / 256) x T workgroups of 64 lanes, four values a lane.
override HIDDEN: u32; // a multiple of 4

@group(0) @binding(0) var<storage, read> gateUp: array<vec4f>;  // [T, 2 * HIDDEN / 4]: gate, then up
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>; // [T, HIDDEN / 4]
@group(0) @binding(2) var<uniform> step: Step;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  let t = id.y;
  if (i >= HIDDEN / 4u || t >= step.count) {
    return;
  }
  let gate = gateUp[t * (HIDDEN / 2u) + i];
  let up = gateUp[t * (HIDDEN / 2u) + HIDDEN / 4u + i];
  y[t * (HIDDEN / 4u) + i] = gate / (1.0 + exp(-gate)) * up;
}
