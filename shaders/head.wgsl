// logits[t, FIRST_ROW + n] = sum over k of weight[n, k] * h[t, k] / rms(x), where h = x · weight of the norm.
// Links with an input_*.wgsl, a dot_*.wgsl, a gemv*.wgsl, a tokens_*.wgsl and input_norm.wgsl. Grid: TILES workgroups for each 32 rows
// of the slab, or what is left of them.
override ROWS: u32;      // rows of this slab
override FIRST_ROW: u32; // where the slab begins in the whole matrix
override OUTPUTS: u32;   // rows of the whole matrix
override ROUNDS = (32u * TOKENS + LANES - 1u) / LANES;

@group(0) @binding(3) var<storage, read_write> logits: array<f32>; // [T, OUTPUTS]

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first = workgroup.x / TILES * 32u;
  let firstToken = workgroup.x % TILES * TOKENS;
  gatherSquares(firstToken, lane);
  // Rows past the end repeat the last one; they are not written.
  multiply(firstToken, min(vec4u(first + slotOf(lane)) + vec4u(0u, 1u, 2u, 3u), vec4u(ROWS - 1u)), 0u, lane);
  for (var turn = 0u; turn < ROUNDS; turn++) {
    let i = turn * LANES + lane;
    let row = first + i % 32u;
    if (i < 32u * TOKENS && row < ROWS) {
      logits[(firstToken + i / 32u) * OUTPUTS + FIRST_ROW + row] = products[i] * inverseRms(i / 32u);
    }
  }
}
