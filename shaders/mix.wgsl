// y mixed in groups of 32, in place: mixed a second time, it is what it was.
// Links with rows.wgsl and hadamard.wgsl. Grid: ceil(WIDTH / (HADAMARD_LANES * PER_LANE)) x T workgroups. Rows that are no
// tokens are left alone.
override WIDTH: u32; // a multiple of 32

@group(0) @binding(0) var<storage, read_write> y: array<vec4f>; // [T, WIDTH / 4]

const PER_LANE = 4u;

@compute @workgroup_size(HADAMARD_LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let t = workgroup.y;
  if (t >= rows.count) {
    return;
  }
  let column = workgroup.x * HADAMARD_LANES + lane;
  let isColumn = column < WIDTH / PER_LANE;
  let at = t * (WIDTH / PER_LANE) + min(column, WIDTH / PER_LANE - 1u);
  let mixed = hadamard(y[at], lane);
  if (isColumn) {
    y[at] = mixed;
  }
}
