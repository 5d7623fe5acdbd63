// Part: as gemv_narrow.wgsl, of 2, 4 or 8 tokens: a workgroup is one subgroup, whose lanes do four rows each, in turns, or four of
// each half. Of a step the tokens' activations are handed round once for all of them; a row's weights are read once for all tokens.
// What reads memory is most of the code: the turns keep it short enough to stay decoded.

const LANES = 8u;
const GROUPS = 2u; // as one_group.wgsl has it

var<workgroup> products: array<f32, 2u * TOKENS * 32u>; // [half, token, slot]: what multiply() leaves

// The first of the four rows that a lane does.
fn slotOf(lane: u32) -> u32 {
  return 4u * lane;
}

// That of the r-th row.
fn ofRow(first: vec4u, second: vec4u, third: vec4u, fourth: vec4u, r: u32) -> vec4u {
  return select(select(first, second, r == 1u), select(third, fourth, r == 3u), r >= 2u);
}

// The activations of a step: one read of the subgroup for two tokens, and one for all their scales.
fn activationsOf(firstToken: u32, pair: u32, lane: u32) -> array<Pairs, TOKENS> {
  let scales = bitcast<vec4f>(input[(firstToken + min(lane, TOKENS - 1u)) * VECTOR + pair * RECORD + 4u]);
  var x: array<Pairs, TOKENS>;
  for (var t = 0u; t < TOKENS; t += 2u) {
    // Lanes 0 to 3 have the activations of a token, 4 to 7 those of the next one.
    let swapped = swapHalves(input[(firstToken + t + lane / 4u) * VECTOR + pair * RECORD + lane % 4u]);
    x[t] = pairsOfLower(swapped, subgroupShuffle(scales, t));
    x[t + 1u] = pairsOfUpper(swapped, subgroupShuffle(scales, t + 1u));
  }
  return x;
}

// What a lane has summed up for its four rows.
fn leave(sums: array<vec4f, TOKENS>, half: u32, lane: u32) {
  for (var t = 0u; t < TOKENS; t++) {
    for (var r = 0u; r < 4u; r++) {
      products[(half * TOKENS + t) * 32u + 4u * lane + r] = sums[t][r];
    }
  }
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
      let x = activationsOf(firstToken, pair, lane);
      for (var r = 0u; r < 4u; r++) {
        let weights = weightsOf(rowStart(rows[r]), pair, ofRow(first, second, third, fourth, r));
        for (var t = 0u; t < TOKENS; t++) {
          sums[t] = vec4f(sums[t].yzw, sums[t].x + dotPair(weights, x[t]));
        }
      }
    }
  }
  leave(sums, half, lane);
  workgroupBarrier();
}

// The rows and those `beyond`. A row of each a turn, so that what was handed round serves eight rows and is fetched for two.
fn multiplyBoth(firstToken: u32, rows: vec4u, beyond: vec4u, lane: u32) {
  var sums: array<vec4f, TOKENS>; // as in multiply()
  var furtherSums: array<vec4f, TOKENS>;
  for (var block = 0u; block < BLOCKS; block++) {
    let first = scalesOf(rowStart(rows.x), block);
    let second = scalesOf(rowStart(rows.y), block);
    let third = scalesOf(rowStart(rows.z), block);
    let fourth = scalesOf(rowStart(rows.w), block);
    let furtherFirst = scalesOf(rowStart(beyond.x), block);
    let furtherSecond = scalesOf(rowStart(beyond.y), block);
    let furtherThird = scalesOf(rowStart(beyond.z), block);
    let furtherFourth = scalesOf(rowStart(beyond.w), block);
    let end = min(PAIRS, 4u * block + 4u);
    for (var pair = 4u * block; pair < end; pair++) {
      let x = activationsOf(firstToken, pair, lane);
      for (var r = 0u; r < 4u; r++) {
        let scales = ofRow(first, second, third, fourth, r);
        let furtherScales = ofRow(furtherFirst, furtherSecond, furtherThird, furtherFourth, r);
        let weights = weightsOf(rowStart(rows[r]), pair, scales);
        let furtherWeights = weightsOf(rowStart(beyond[r]), pair, furtherScales);
        for (var t = 0u; t < TOKENS; t++) {
          sums[t] = vec4f(sums[t].yzw, sums[t].x + dotPair(weights, x[t]));
          furtherSums[t] = vec4f(furtherSums[t].yzw, furtherSums[t].x + dotPair(furtherWeights, x[t]));
        }
      }
    }
  }
  leave(sums, 0u, lane);
  leave(furtherSums, 1u, lane);
  workgroupBarrier();
}

// As one_group.wgsl has it.
fn multiplyHalves(firstToken: u32, rows: vec4u, further: u32, lane: u32) {
  multiplyBoth(firstToken, rows, rows + further, lane);
}

// As one_group.wgsl has it.
fn multiplyGroups(firstToken: u32, rows: vec4u, beyond: vec4u, lane: u32) {
  multiplyBoth(firstToken, rows, beyond, lane);
}
