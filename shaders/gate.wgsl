// y[i] = silu(gate[i]) * up[i], as the input of the next matrix, where gate = W_gate h / rms(x), up = W_up h / rms(x), and
// h = x · weight of the norm.
// Links with an input_*.wgsl, a dot_*.wgsl, gemv.wgsl, input_norm.wgsl and a store_*.wgsl. Grid: HIDDEN / 32 workgroups.
override HIDDEN: u32; // rows of W_gate, behind which those of W_up are; a multiple of 32

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  gatherSquares(lane);
  let rows = vec4u(workgroup.x * 32u + slotOf(lane)) + vec4u(0u, 1u, 2u, 3u);
  var gate = 0.0;
  var up = 0.0;
  // A loop, so that the product's code is there once.
  for (var half = 0u; half < 2u; half++) {
    gate = up;
    up = multiply(rows + half * HIDDEN, lane);
  }
  let scale = inverseRms();
  gate *= scale;
  storeGroup(workgroup.x, gate / (1.0 + exp(-gate)) * (up * scale), 0.0, lane);
}
