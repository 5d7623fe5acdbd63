// sketch[i, k] += sum over t of projections[t, i] * x[t, k], over the rows of x that are tokens.
// Links with rows.wgsl. Grid: [ceil(COLUMNS / (LANES * PER_LANE)), 32 / 8] workgroups.
override COLUMNS: u32; // a multiple of 4
override LANES: u32;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;            // [T, COLUMNS / 4]
@group(0) @binding(1) var<storage, read> projections: array<vec4f>;  // [T, 32 / 4]
@group(0) @binding(2) var<storage, read_write> sketch: array<vec4f>; // [32, COLUMNS / 4]

const PER_LANE = 4u; // columns that a lane sums, each for eight projections
const QUARTETS = 8u; // of projections

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let k = id.x;
  let first = 2u * id.y; // of the lane's two quartets
  if (k >= COLUMNS / 4u) {
    return;
  }
  // The pass is summed first: few small numbers are added to a large one.
  var sums = array<vec4f, 8>();
  for (var t = 0u; t < rows.count; t++) {
    let value = x[t * (COLUMNS / 4u) + k];
    let low = projections[t * QUARTETS + first];
    let high = projections[t * QUARTETS + first + 1u];
    sums[0] += low.x * value;
    sums[1] += low.y * value;
    sums[2] += low.z * value;
    sums[3] += low.w * value;
    sums[4] += high.x * value;
    sums[5] += high.y * value;
    sums[6] += high.z * value;
    sums[7] += high.w * value;
  }
  for (var i = 0u; i < 8u; i++) {
    sketch[(4u * first + i) * (COLUMNS / 4u) + k] += sums[i];
  }
}
