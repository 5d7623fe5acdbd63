// Part: 32 values of each of TOKENS tokens as one group of a vector each that input_f16.wgsl reads. Links with a tokens_*.wgsl and
// with what has LANES lanes, at least TOKENS. Exports the same names as store_f32.wgsl.
override STORED_COLUMNS: u32; // values of the whole vector

@group(0) @binding(6) var<storage, read_write> stored: array<u32>;

const STORED_RECORD = 36u; // u32 of two groups
override STORED_PAIRS = (STORED_COLUMNS + 63u) / 64u;
override STORED_VECTOR = STORED_PAIRS * STORED_RECORD + (STORED_COLUMNS / 32u + 3u) / 4u * 4u; // u32 of a token
override STORE_ROUNDS = (8u * TOKENS + LANES - 1u) / LANES;

var<workgroup> storedTile: array<f32, 32u * TOKENS>;
var<workgroup> storedSquares: array<f32, 32u * TOKENS>;
// Of four values each: the bits of the largest magnitude, and the sums of squares and of halves.
var<workgroup> fourLargest: array<u32, 8u * TOKENS>;
var<workgroup> fourSums: array<vec2f, 8u * TOKENS>;
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
      // 2^-4 of the power of two below the largest magnitude, and its inverse. Below 2^-100 halves get smaller instead.
      let exponent = max(largest & 0x7f800000u, 27u << 23u) - (4u << 23u);
      let inverse = bitcast<f32>((254u << 23u) - exponent);
      if (four % 8u == 0u) {
        // What is no number has to show in the logits, whatever its half is.
        storedScales[four / 8u] = bitcast<f32>(select(0x7fc00000u, exponent, largest < 0x7f800000u));
      }
      let values = storedFour(four);
      let words = vec2u(pack2x16float(values.xz * inverse), pack2x16float(values.yw * inverse));
      let halves = unpack2x16float(words.x) + unpack2x16float(words.y);
      let squares = storedSquares[4u * four] + storedSquares[4u * four + 1u] + storedSquares[4u * four + 2u] +
        storedSquares[4u * four + 3u];
      fourSums[four] = vec2f(squares, halves.x + halves.y);
      let at = recordOf(firstToken + four / 8u, group) + 16u * (group % 2u) + 2u * (four % 8u);
      stored[at] = words.x;
      stored[at + 1u] = words.y;
    }
  }
  workgroupBarrier();
  if (lane < TOKENS) {
    var sums = vec2f(0.0);
    for (var i = 0u; i < 8u; i++) {
      sums += fourSums[8u * lane + i];
    }
    let scale = storedScales[lane];
    let token = firstToken + lane;
    let at = recordOf(token, group) + 32u + 2u * (group % 2u);
    stored[at] = bitcast<u32>(scale);
    stored[at + 1u] = bitcast<u32>(scale * sums.y);
    stored[token * STORED_VECTOR + STORED_PAIRS * STORED_RECORD + group] = bitcast<u32>(sums.x);
  }
}

fn recordOf(token: u32, group: u32) -> u32 {
  return token * STORED_VECTOR + group / 2u * STORED_RECORD;
}
