// Part: what every store_*.wgsl begins with: 32 values of each of TOKENS tokens, handed over, and where they go. Links with a
// tokens_*.wgsl, turns.wgsl and with what has LANES lanes, at least TOKENS. A store_*.wgsl says what STORED_RECORD is, of words of 32 bits.
override STORED_COLUMNS: u32; // values of the whole vector
override STORED_PAIRS = (STORED_COLUMNS + 63u) / 64u;
override STORED_VECTOR = STORED_PAIRS * STORED_RECORD + (STORED_COLUMNS / 32u + 3u) / 4u * 4u; // words of a token
override STORE_ROUNDS = (8u * TOKENS + LANES - 1u) / LANES;

var<workgroup> storedTile: array<f32, 32u * TOKENS>;
var<workgroup> storedSquares: array<f32, 32u * TOKENS>;

// Value i % 32 of the group of the token i / 32, and the square that it adds to the norm's sum.
fn handOver(i: u32, value: f32, square: f32) {
  storedTile[i] = value;
  storedSquares[i] = square;
}

fn squaresOfFour(four: u32) -> f32 {
  return storedSquares[4u * four] + storedSquares[4u * four + 1u] + storedSquares[4u * four + 2u] + storedSquares[4u * four + 3u];
}

// Where the record of two groups begins that has this one.
fn recordOf(token: u32, group: u32) -> u32 {
  return token * STORED_VECTOR + group / 2u * STORED_RECORD;
}

// Where a group's sum of squares stands.
fn squaresAt(token: u32, group: u32) -> u32 {
  return token * STORED_VECTOR + STORED_PAIRS * STORED_RECORD + group;
}
