// y[d, i] = x[d-th row whose logits are asked for, i]
// Links with rows.wgsl. Grid: ceil(DIM / (LANES * PER_LANE)) x MOST_DRAWN workgroups.
override DIM: u32; // a multiple of 4
override LANES: u32;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;       // [T, DIM / 4]
@group(0) @binding(1) var<storage, read_write> y: array<vec4f>; // [MOST_DRAWN, DIM / 4]

const PER_LANE = 4u; // values that a lane copies

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let d = id.y;
  if (id.x < DIM / 4u && d < rows.drawnCount) {
    let row = rows.drawn[d / 4u][d % 4u];
    y[d * (DIM / 4u) + id.x] = x[row * (DIM / 4u) + id.x];
  }
}
