// Part: rounds a group of each of TOKENS tokens and stores it. Links with stored_group.wgsl and with store_f16.wgsl or store_i8.wgsl,
// which say to what: FOUR_WORDS, inverseOf, scaleOf and putFour. Exports the same name as store_f32.wgsl.
@group(0) @binding(6) var<storage, read_write> stored: array<u32>;

const STORED_RECORD = 16u * FOUR_WORDS + 4u; // u32 of two groups

// Of four values each: the bits of the largest magnitude, the sum of squares, and that of what they are rounded to.
var<workgroup> fourLargest: array<u32, 8u * TOKENS>;
var<workgroup> fourSquares: array<f32, 8u * TOKENS>;
var<workgroup> fourSums: array<f32, 8u * TOKENS>;
var<workgroup> storedScales: array<f32, TOKENS>;

fn storedFour(four: u32) -> vec4f {
  return vec4f(storedTile[4u * four], storedTile[4u * four + 1u], storedTile[4u * four + 2u], storedTile[4u * four + 3u]);
}

// Stores what was handed over. Call it in uniform control flow, once.
fn storeGroups(firstToken: u32, group: u32, lane: u32) {
  workgroupBarrier();
  for (var turn = firstTurn(lane); turn < STORE_ROUNDS; turn++) {
    let four = turn * LANES + lane;
    if (four < 8u * TOKENS) {
      // These bits rise with the magnitude, and those of NaN and infinity are the highest.
      let bits = bitcast<vec4u>(storedFour(four)) & vec4u(0x7fffffffu);
      fourLargest[four] = max(max(bits.x, bits.y), max(bits.z, bits.w));
      fourSquares[four] = squaresOfFour(four);
    }
  }
  workgroupBarrier();
  for (var turn = firstTurn(lane); turn < STORE_ROUNDS; turn++) {
    let four = turn * LANES + lane;
    if (four < 8u * TOKENS) {
      var largest = 0u;
      for (var i = 0u; i < 8u; i++) {
        largest = max(largest, fourLargest[four / 8u * 8u + i]);
      }
      if (four % 8u == 0u) {
        // What is no number has to show in the logits, whatever it is rounded to.
        storedScales[four / 8u] = bitcast<f32>(select(0x7fc00000u, bitcast<u32>(scaleOf(largest)), largest < 0x7f800000u));
      }
      let at = recordOf(firstToken + four / 8u, group) + FOUR_WORDS * (8u * (group % 2u) + four % 8u);
      fourSums[four] = putFour(at, storedFour(four) * inverseOf(largest));
    }
  }
  workgroupBarrier();
  if (lane < TOKENS) {
    var sum = 0.0;
    var squares = 0.0;
    for (var i = 0u; i < 8u; i++) {
      sum += fourSums[8u * lane + i];
      squares += fourSquares[8u * lane + i];
    }
    let scale = storedScales[lane];
    let token = firstToken + lane;
    let sums = recordOf(token, group) + 16u * FOUR_WORDS + 2u * (group % 2u);
    stored[sums] = bitcast<u32>(scale);
    stored[sums + 1u] = bitcast<u32>(scale * sum);
    stored[squaresAt(token, group)] = bitcast<u32>(squares);
  }
}
