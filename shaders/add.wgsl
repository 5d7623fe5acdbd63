// x[FIRST_ROW + n] += sum over k of weight[n, k] * input[k], and of the new x, times the weight of the norm that comes next, the
// input of the matrices behind it.
// Links with an input_*.wgsl, a dot_*.wgsl, gemv.wgsl and a store_*.wgsl. Grid: a workgroup for 32 rows of the slab, of which there is
// a multiple.
override FIRST_ROW: u32; // where the slab begins in the whole matrix

@group(0) @binding(3) var<storage, read_write> x: array<f32>; // [all rows]
@group(0) @binding(5) var<storage, read> norm: array<f32>;    // [all rows]

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first = workgroup.x * 32u;
  let product = multiply(vec4u(first + slotOf(lane)) + vec4u(0u, 1u, 2u, 3u), lane);
  var sum = 0.0;
  var scaled = 0.0;
  if (lane < 32u) {
    let row = FIRST_ROW + first + lane;
    sum = x[row] + product;
    x[row] = sum;
    scaled = sum * norm[row];
  }
  storeGroup((FIRST_ROW + first) / 32u, scaled, sum * sum, lane);
}
