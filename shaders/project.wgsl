// projections[t, i] = sum over k of sign(k, i) * x[t, k], of the rows of x that are tokens: 32 random projections of each.
// Links with rows.wgsl. Grid: a workgroup of LANES for each row.
override COLUMNS: u32;

@group(0) @binding(0) var<storage, read> x: array<f32>;                    // [T, COLUMNS]
@group(0) @binding(1) var<storage, read_write> projections: array<vec4f>;  // [T, 32 / 4]

const LANES = 64u;
const QUARTETS = 8u; // of projections

var<workgroup> shares: array<vec4f, QUARTETS * LANES>;

// Bit i is the sign of column k in projection i: src/kernels/sketch.ts has the same.
fn signsOf(k: u32) -> u32 {
  var bits = k + 1u;
  bits = (bits ^ (bits >> 16u)) * 0x7feb352du;
  bits = (bits ^ (bits >> 15u)) * 0x846ca68bu;
  return bits ^ (bits >> 16u);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let t = workgroup.x;
  if (t >= rows.count) {
    return;
  }
  var sums = array<vec4f, QUARTETS>();
  for (var k = lane; k < COLUMNS; k += LANES) {
    let value = x[t * COLUMNS + k];
    var signs = signsOf(k);
    for (var q = 0u; q < QUARTETS; q++) {
      let isPlus = (vec4u(signs) & vec4u(1u, 2u, 4u, 8u)) != vec4u(0u);
      sums[q] += select(vec4f(-value), vec4f(value), isPlus);
      signs >>= 4u;
    }
  }
  for (var q = 0u; q < QUARTETS; q++) {
    shares[q * LANES + lane] = sums[q];
  }
  workgroupBarrier();
  if (lane < QUARTETS) {
    var sum = vec4f(0.0);
    for (var i = 0u; i < LANES; i++) {
      sum += shares[lane * LANES + i];
    }
    projections[t * QUARTETS + lane] = sum;
  }
}
