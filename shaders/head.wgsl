// logits[FIRST_ROW + n] = sum over k of weight[n, k] * h[k] / rms(x), where h = x · weight of the norm.
// Links with an input_*.wgsl, a dot_*.wgsl, gemv.wgsl and input_norm.wgsl. Grid: ceil(ROWS / 32) workgroups.
override ROWS: u32;      // rows of this slab
override FIRST_ROW: u32; // where the slab begins in the whole matrix

@group(0) @binding(3) var<storage, read_write> logits: array<f32>; // [all rows]

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  gatherSquares(lane);
  let first = workgroup.x * 32u;
  // Rows past the end repeat the last one; they are not written.
  let product = multiply(min(vec4u(first + slotOf(lane)) + vec4u(0u, 1u, 2u, 3u), vec4u(ROWS - 1u)), lane);
  if (lane < 32u && first + lane < ROWS) {
    logits[FIRST_ROW + first + lane] = product * inverseRms();
  }
}
