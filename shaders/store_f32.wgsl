// Part: 32 values of each of TOKENS tokens as one group of a vector each that input_f32.wgsl reads. Links with a tokens_*.wgsl and
// with what has LANES lanes, at least TOKENS. Exports the same names as store_i8.wgsl.
override STORED_COLUMNS: u32; // values of the whole vector

@group(0) @binding(6) var<storage, read_write> stored: array<f32>;

const STORED_RECORD = 68u; // f32 of two groups
override STORED_PAIRS = (STORED_COLUMNS + 63u) / 64u;
override STORED_VECTOR = STORED_PAIRS * STORED_RECORD + (STORED_COLUMNS / 32u + 3u) / 4u * 4u; // f32 of a token
override VALUE_ROUNDS = (32u * TOKENS + LANES - 1u) / LANES;
override STORE_ROUNDS = (8u * TOKENS + LANES - 1u) / LANES;

var<workgroup> storedTile: array<f32, 32u * TOKENS>;
var<workgroup> storedSquares: array<f32, 32u * TOKENS>;
var<workgroup> fourSums: array<vec2f, 8u * TOKENS>; // of four values each, and of their squares

// Value i % 32 of the group of the token i / 32, and the square that it adds to the norm's sum.
fn handOver(i: u32, value: f32, square: f32) {
  storedTile[i] = value;
  storedSquares[i] = square;
}

// Stores what was handed over. Call it in uniform control flow, once.
fn storeGroups(firstToken: u32, group: u32, lane: u32) {
  workgroupBarrier();
  for (var turn = 0u; turn < VALUE_ROUNDS; turn++) {
    let i = turn * LANES + lane;
    if (i < 32u * TOKENS) {
      stored[recordOf(firstToken + i / 32u, group) + 32u * (group % 2u) + i % 32u] = storedTile[i];
    }
  }
  for (var turn = 0u; turn < STORE_ROUNDS; turn++) {
    let four = turn * LANES + lane;
    if (four < 8u * TOKENS) {
      let i = 4u * four;
      fourSums[four] = vec2f(
        storedTile[i] + storedTile[i + 1u] + storedTile[i + 2u] + storedTile[i + 3u],
        storedSquares[i] + storedSquares[i + 1u] + storedSquares[i + 2u] + storedSquares[i + 3u],
      );
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
    stored[token * STORED_VECTOR + STORED_PAIRS * STORED_RECORD + group] = sums.y;
  }
}

fn recordOf(token: u32, group: u32) -> u32 {
  return token * STORED_VECTOR + group / 2u * STORED_RECORD;
}
