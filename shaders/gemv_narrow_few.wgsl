// Part: as gemv_narrow.wgsl, of 2, 4 or 8 tokens: a workgroup is one subgroup, whose lanes do eight rows each, two a turn. Of a step
// the tokens' activations are handed round once for all of them; a row's weights are read and unpacked once for all tokens. What
// reads memory is much of the code: the turns keep it short enough to stay decoded. Links with few_vectors.wgsl or few_quads.wgsl.

const LANES = 8u;
const GROUPS = 2u; // as one_group.wgsl has it

var<workgroup> products: array<f32, 2u * TOKENS * 32u>; // [half, token, slot]: what a product leaves

// The first of the four rows that a lane does.
fn slotOf(lane: u32) -> u32 {
  return 4u * lane;
}

// What scalesOf() gives for four rows.
fn scalesOfFour(rows: vec4u, block: u32) -> array<vec4u, 4> {
  return array(
    scalesOf(rowStart(rows.x), block),
    scalesOf(rowStart(rows.y), block),
    scalesOf(rowStart(rows.z), block),
    scalesOf(rowStart(rows.w), block),
  );
}

// Those of the r-th row: an index that is no constant would have them all in memory.
fn ofRow(scales: array<vec4u, 4>, r: u32) -> vec4u {
  return select(select(scales[0], scales[1], r == 1u), select(scales[2], scales[3], r == 3u), r >= 2u);
}

// Of four tokens the sums, a component a row of the lane's, the row at hand first.
alias Sums = array<vec4f, 4>;

// The sums with what the row at hand gets, and the next row first.
fn turned(sums: Sums, more: vec4f) -> Sums {
  return Sums(
    vec4f(sums[0].yzw, sums[0].x + more.x),
    vec4f(sums[1].yzw, sums[1].x + more.y),
    vec4f(sums[2].yzw, sums[2].x + more.z),
    vec4f(sums[3].yzw, sums[3].x + more.w),
  );
}

// What a lane has summed up for its four rows and the tokens from `token` on.
fn leave(sums: Sums, token: u32, half: u32, lane: u32) {
  for (var t = 0u; t < min(TOKENS, 4u); t++) {
    for (var r = 0u; r < 4u; r++) {
      products[(half * TOKENS + token + t) * 32u + 4u * lane + r] = sums[t][r];
    }
  }
}

// As one_group.wgsl has it. A row of each group a turn, so that what was handed round serves eight rows and is fetched for two.
fn multiplyGroups(firstToken: u32, rows: vec4u, beyond: vec4u, lane: u32) {
  var sums: Sums;
  var laterSums: Sums; // of tokens 4 to 7
  var furtherSums: Sums;
  var furtherLaterSums: Sums;
  for (var block = 0u; block < BLOCKS; block++) {
    let scales = scalesOfFour(rows, block);
    let furtherScales = scalesOfFour(beyond, block);
    let end = min(PAIRS, 4u * block + 4u);
    for (var pair = 4u * block; pair < end; pair++) {
      let x = activationsOf(firstToken, pair, lane);
      for (var r = 0u; r < 4u; r++) {
        let weights = weightsOf(rowStart(rows[r]), pair, ofRow(scales, r));
        let furtherWeights = weightsOf(rowStart(beyond[r]), pair, ofRow(furtherScales, r));
        sums = turned(sums, dotFour(weights, x.first));
        furtherSums = turned(furtherSums, dotFour(furtherWeights, x.first));
        laterSums = turned(laterSums, dotFour(weights, x.later));
        furtherLaterSums = turned(furtherLaterSums, dotFour(furtherWeights, x.later));
      }
    }
  }
  leave(sums, 0u, 0u, lane);
  leave(furtherSums, 0u, 1u, lane);
  if (TOKENS > 4u) {
    leave(laterSums, 4u, 0u, lane);
    leave(furtherLaterSums, 4u, 1u, lane);
  }
  workgroupBarrier();
}

// As one_group.wgsl has it.
fn multiplyHalves(firstToken: u32, rows: vec4u, further: u32, lane: u32) {
  multiplyGroups(firstToken, rows, rows + further, lane);
}
