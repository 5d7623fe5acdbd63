// Part: the factor of an RMSNorm whose weight the input has been multiplied with already. Links with an input_*.wgsl and a
// tokens_*.wgsl, turns.wgsl, and with what has LANES lanes.
override EPS: f32;

const NORM_LANES = 8u; // shares of a token's sum
override NORM_ROUNDS = (NORM_LANES * TOKENS + LANES - 1u) / LANES;

var<workgroup> squareShares: array<f32, NORM_LANES * TOKENS>;

// Call it before a barrier, after which inverseRms() may be called.
fn gatherSquares(firstToken: u32, lane: u32) {
  for (var turn = firstTurn(lane); turn < NORM_ROUNDS; turn++) {
    let i = turn * LANES + lane;
    if (i < NORM_LANES * TOKENS) {
      var sum = 0.0;
      for (var group = i % NORM_LANES; group < COLUMNS / 32u; group += NORM_LANES) {
        sum += squareOf(firstToken + i / NORM_LANES, group);
      }
      squareShares[i] = sum;
    }
  }
}

// 1 / sqrt(mean of x^2 + EPS) of the t-th token.
fn inverseRms(t: u32) -> f32 {
  var sum = 0.0;
  for (var i = 0u; i < NORM_LANES; i++) {
    sum += squareShares[t * NORM_LANES + i];
  }
  return inverseSqrt(sum / f32(COLUMNS) + EPS);
}
