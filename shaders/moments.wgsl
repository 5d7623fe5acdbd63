// sums[0, k] += sum over t of x[t, k]^2 and sums[1, k] += sum over t of x[t, k], over the rows of x that are tokens.
// Links with rows.wgsl. Grid: ceil(COLUMNS / (LANES * PER_LANE)) workgroups.
override COLUMNS: u32; // a multiple of 4
override LANES: u32;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;          // [T, COLUMNS / 4]
@group(0) @binding(1) var<storage, read_write> sums: array<vec4f>; // [2, COLUMNS / 4]

const PER_LANE = 4u; // columns that a lane sums

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let k = id.x;
  if (k >= COLUMNS / 4u) {
    return;
  }
  // The pass is summed first: few small numbers are added to a large one.
  var squares = vec4f(0.0);
  var values = vec4f(0.0);
  for (var t = 0u; t < rows.count; t++) {
    let value = x[t * (COLUMNS / 4u) + k];
    squares += value * value;
    values += value;
  }
  sums[k] += squares;
  sums[COLUMNS / 4u + k] += values;
}
