// Part: as gemv_narrow.wgsl, of 2, 4 or 8 tokens: a workgroup is one subgroup, whose lanes do four rows each, in turns. Of a step the
// tokens' activations are handed round once for four rows; a row's weights are read once for all tokens. What reads memory is
// most of the code: the turns keep it short enough to stay decoded.

const LANES = 8u;

var<workgroup> products: array<f32, 2u * TOKENS * 32u>; // [half, token, slot]: what multiply() leaves

// The first of the four rows that a lane does.
fn slotOf(lane: u32) -> u32 {
  return 4u * lane;
}

// That of the r-th row.
fn ofRow(first: vec4u, second: vec4u, third: vec4u, fourth: vec4u, r: u32) -> vec4u {
  return select(select(first, second, r == 1u), select(third, fourth, r == 3u), r >= 2u);
}

// As gemv.wgsl has it.
fn multiply(firstToken: u32, rows: vec4u, half: u32, lane: u32) {
  var sums: array<vec4f, TOKENS>; // a component per row, the row at hand first
  for (var block = 0u; block < BLOCKS; block++) {
    let first = scalesOf(rowStart(rows.x), block);
    let second = scalesOf(rowStart(rows.y), block);
    let third = scalesOf(rowStart(rows.z), block);
    let fourth = scalesOf(rowStart(rows.w), block);
    let end = min(PAIRS, 4u * block + 4u);
    for (var pair = 4u * block; pair < end; pair++) {
      let scales = bitcast<vec4f>(input[(firstToken + min(lane, TOKENS - 1u)) * VECTOR + pair * RECORD + 4u]);
      var x: array<Pairs, TOKENS>;
      for (var t = 0u; t < TOKENS; t += 2u) {
        // Lanes 0 to 3 have the activations of a token, 4 to 7 those of the next one.
        let swapped = swapHalves(input[(firstToken + t + lane / 4u) * VECTOR + pair * RECORD + lane % 4u]);
        x[t] = pairsOfLower(swapped, subgroupShuffle(scales, t));
        x[t + 1u] = pairsOfUpper(swapped, subgroupShuffle(scales, t + 1u));
      }
      for (var r = 0u; r < 4u; r++) {
        let weights = weightsOf(rowStart(rows[r]), pair, ofRow(first, second, third, fourth, r));
        for (var t = 0u; t < TOKENS; t++) {
          sums[t] = vec4f(sums[t].yzw, sums[t].x + dotPair(weights, x[t]));
        }
      }
    }
  }
  for (var t = 0u; t < TOKENS; t++) {
    for (var r = 0u; r < 4u; r++) {
      products[(half * TOKENS + t) * 32u + 4u * lane + r] = sums[t][r];
    }
  }
  workgroupBarrier();
}

// As gemv.wgsl has it. No loop: what the loops in it count and sum would be kept in memory across its barriers.
fn multiplyHalves(firstToken: u32, rows: vec4u, further: u32, lane: u32) {
  multiply(firstToken, rows, 0u, lane);
  multiply(firstToken, rows + further, 1u, lane);
}
