// Part: stores a group of each of TOKENS tokens as input_f32.wgsl reads it. Links with stored_group.wgsl.
@group(0) @binding(6) var<storage, read_write> stored: array<f32>;

const STORED_RECORD = 68u; // f32 of two groups
override VALUE_ROUNDS = (32u * TOKENS + LANES - 1u) / LANES;

var<workgroup> fourSums: array<vec2f, 8u * TOKENS>; // of four values each, and of their squares

// Stores what was handed over. Call it in uniform control flow, once.
fn storeGroups(firstToken: u32, group: u32, lane: u32) {
  workgroupBarrier();
  for (var turn = firstTurn(lane); turn < VALUE_ROUNDS; turn++) {
    let i = turn * LANES + lane;
    if (i < 32u * TOKENS) {
      stored[recordOf(firstToken + i / 32u, group) + 32u * (group % 2u) + i % 32u] = storedTile[i];
    }
  }
  for (var turn = firstTurn(lane); turn < STORE_ROUNDS; turn++) {
    let four = turn * LANES + lane;
    if (four < 8u * TOKENS) {
      let i = 4u * four;
      fourSums[four] = vec2f(storedTile[i] + storedTile[i + 1u] + storedTile[i + 2u] + storedTile[i + 3u], squaresOfFour(four));
    }
  }
  workgroupBarrier();
  if (lane < TOKENS) {
    var sums = vec2f(0.0);
    for (var i = 0u; i < 8u; i++) {
      sums += fourSums[8u * lane + i];
    }
    let token = firstToken + lane;
    stored[recordOf(token, group) + 64u + group % 2u] = sums.x;
    stored[squaresAt(token, group)] = sums.y;
  }
}
