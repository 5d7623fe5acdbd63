// y[t, i] = silu(gate[t, i]) * up[t, i], silu(z) = z / (1 + exp(-z))
// Links with rows.wgsl. Grid: ceil(HIDDEN / (LANES * PER_LANE)) x T workgroups.
override HIDDEN: u32; // a multiple of 4
override LANES: u32;

@group(0) @binding(0) var<storage, read> gateUp: array<vec4f>;  // [T, 2 * HIDDEN / 4]: gate, then up
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>; // [T, HIDDEN / 4]

const PER_LANE = 4u; // values that a lane makes

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let i = id.x;
  let t = id.y;
  if (i >= HIDDEN / 4u || t >= rows.count) {
    return;
  }
  let gate = gateUp[t * (HIDDEN / 2u) + i];
  let up = gateUp[t * (HIDDEN / 2u) + HIDDEN / 4u + i];
  y[t * (HIDDEN / 4u) + i] = gate / (1.0 + exp(-gate)) * up;
}
