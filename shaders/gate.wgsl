// y[t, i] = silu(gate[t, i]) * up[t, i], as the input of the next matrix, where gate = W_gate h / rms(x), up = W_up h / rms(x), and
// h = x · weight of the norm.
// Links with an input_*.wgsl, a dot_*.wgsl, a gemv*.wgsl, a tokens_*.wgsl, turns.wgsl, input_norm.wgsl and a store_*.wgsl. Grid: TILES
// workgroups for each 32 rows of W_gate.
override HIDDEN: u32; // rows of W_gate, behind which those of W_up are; a multiple of 32
override ROUNDS = (32u * TOKENS + LANES - 1u) / LANES;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let group = workgroup.x / TILES;
  let firstToken = workgroup.x % TILES * TOKENS;
  gatherSquares(firstToken, lane);
  let rows = vec4u(group * 32u + slotOf(lane)) + vec4u(0u, 1u, 2u, 3u);
  multiplyHalves(firstToken, rows, HIDDEN, lane);
  for (var turn = firstTurn(lane); turn < ROUNDS; turn++) {
    let i = turn * LANES + lane;
    if (i < 32u * TOKENS) {
      let scale = inverseRms(i / 32u);
      let gate = products[i] * scale;
      handOver(i, gate / (1.0 + exp(-gate)) * (products[32u * TOKENS + i] * scale), 0.0);
    }
  }
  storeGroups(firstToken, group, lane);
}
