// logits[t, FIRST_ROW + n] = sum over k of weight[n, k] * h[t, k] / rms(x), where h = x · weight of the norm.
// Links with an input_*.wgsl, a dot_*.wgsl, a gemv*.wgsl, a tokens_*.wgsl, turns.wgsl and input_norm.wgsl. Grid: TILES workgroups for
// each GROUPS times 32 rows of the slab, or what is left of them.
override ROWS: u32;      // rows of this slab
override FIRST_ROW: u32; // where the slab begins in the whole matrix
override OUTPUTS: u32;   // rows of the whole matrix
override ROUNDS = (32u * GROUPS * TOKENS + LANES - 1u) / LANES;

@group(0) @binding(3) var<storage, read_write> logits: array<f32>; // [T, OUTPUTS]

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let own = workgroup.x / TILES * (32u * GROUPS);
  // The last workgroup does some rows of the one before again, which it does not write, rather than read past the end.
  let first = min(own, max(ROWS, 32u * GROUPS) - 32u * GROUPS);
  let firstToken = workgroup.x % TILES * TOKENS;
  gatherSquares(firstToken, lane);
  // Where the slab has fewer rows, those past the end repeat the last one; they are not written.
  let rows = vec4u(first + slotOf(lane)) + vec4u(0u, 1u, 2u, 3u);
  let last = vec4u(ROWS - 1u);
  multiplyGroups(firstToken, min(rows, last), min(rows + 32u, last), lane);
  for (var turn = firstTurn(lane); turn < ROUNDS; turn++) {
    let i = turn * LANES + lane; // [group, token, slot]
    let token = i / 32u % TOKENS;
    let row = first + 32u * (i / (32u * TOKENS)) + i % 32u;
    if (i < 32u * GROUPS * TOKENS && row >= own && row < ROWS) {
      logits[(firstToken + token) * OUTPUTS + FIRST_ROW + row] = products[i] * inverseRms(token);
    }
  }
}
