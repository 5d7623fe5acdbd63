// Part: 32 values of each of TOKENS tokens as one group of a vector each that input_i8.wgsl reads. Links with a tokens_*.wgsl and
// with what has LANES lanes, at least TOKENS. Exports the same names as store_f32.wgsl.
override STORED_COLUMNS: u32; // values of the whole vector

@group(0) @binding(6) var<storage, read_write> stored: array<u32>;

const STORED_RECORD = 20u; // u32 of two groups
override STORED_PAIRS = (STORED_COLUMNS + 63u) / 64u;
override STORED_VECTOR = STORED_PAIRS * STORED_RECORD + (STORED_COLUMNS / 32u + 3u) / 4u * 4u; // u32 of a token
override STORE_ROUNDS = (8u * TOKENS + LANES - 1u) / LANES;

var<workgroup> storedTile: array<f32, 32u * TOKENS>;
var<workgroup> storedSquares: array<f32, 32u * TOKENS>;
// Of four values each: the bits of the largest magnitude, the sum of squares, and that of the integers.
var<workgroup> fourLargest: array<u32, 8u * TOKENS>;
var<workgroup> fourSquares: array<f32, 8u * TOKENS>;
var<workgroup> fourSums: array<i32, 8u * TOKENS>;
var<workgroup> storedScales: array<f32, TOKENS>;

// Value i % 32 of the group of the token i / 32, and the square that it adds to the norm's sum.
fn handOver(i: u32, value: f32, square: f32) {
  storedTile[i] = value;
  storedSquares[i] = square;
}

fn storedFour(four: u32) -> vec4f {
  return vec4f(storedTile[4u * four], storedTile[4u * four + 1u], storedTile[4u * four + 2u], storedTile[4u * four + 3u]);
}

// Stores what was handed over. Call it in uniform control flow, once.
fn storeGroups(firstToken: u32, group: u32, lane: u32) {
  workgroupBarrier();
  for (var turn = 0u; turn < STORE_ROUNDS; turn++) {
    let four = turn * LANES + lane;
    if (four < 8u * TOKENS) {
      // These bits rise with the magnitude, and those of NaN and infinity are the highest.
      let bits = bitcast<vec4u>(storedFour(four)) & vec4u(0x7fffffffu);
      fourLargest[four] = max(max(bits.x, bits.y), max(bits.z, bits.w));
      fourSquares[four] = storedSquares[4u * four] + storedSquares[4u * four + 1u] + storedSquares[4u * four + 2u] +
        storedSquares[4u * four + 3u];
    }
  }
  workgroupBarrier();
  for (var turn = 0u; turn < STORE_ROUNDS; turn++) {
    let four = turn * LANES + lane;
    if (four < 8u * TOKENS) {
      var largest = 0u;
      for (var i = 0u; i < 8u; i++) {
        largest = max(largest, fourLargest[four / 8u * 8u + i]);
      }
      // What is no number has to show in the logits, and conversion to integers hides it.
      let isFinite = largest < 0x7f800000u;
      let inverse = select(0.0, 127.0 / bitcast<f32>(largest), isFinite && largest > 0u);
      let quants = vec4i(round(storedFour(four) * inverse));
      fourSums[four] = quants.x + quants.y + quants.z + quants.w;
      if (four % 8u == 0u) {
        let scale = select(0x7fc00000u, bitcast<u32>(bitcast<f32>(largest) / 127.0), isFinite);
        storedScales[four / 8u] = bitcast<f32>(scale);
      }
      stored[recordOf(firstToken + four / 8u, group) + 8u * (group % 2u) + four % 8u] = pack4xI8(quants);
    }
  }
  workgroupBarrier();
  if (lane < TOKENS) {
    var sum = 0;
    var squares = 0.0;
    for (var i = 0u; i < 8u; i++) {
      sum += fourSums[8u * lane + i];
      squares += fourSquares[8u * lane + i];
    }
    let scale = storedScales[lane];
    let token = firstToken + lane;
    let sums = recordOf(token, group) + 16u + 2u * (group % 2u);
    stored[sums] = bitcast<u32>(scale);
    stored[sums + 1u] = bitcast<u32>(scale * f32(sum));
    stored[token * STORED_VECTOR + STORED_PAIRS * STORED_RECORD + group] = bitcast<u32>(squares);
  }
}

fn recordOf(token: u32, group: u32) -> u32 {
  return token * STORED_VECTOR + group / 2u * STORED_RECORD;
}
