// Part: the factor of an RMSNorm whose weight the input has been multiplied with already. Links with an input_*.wgsl.
override EPS: f32;

var<workgroup> squareShares: array<f32, 8>;

// Call it before a barrier, after which inverseRms() may be called.
fn gatherSquares(lane: u32) {
  if (lane < 8u) {
    var sum = 0.0;
    for (var group = lane; group < COLUMNS / 32u; group += 8u) {
      sum += squareOf(group);
    }
    squareShares[lane] = sum;
  }
}

// 1 / sqrt(mean of x^2 + EPS)
fn inverseRms() -> f32 {
  var sum = 0.0;
  for (var i = 0u; i < 8u; i++) {
    sum += squareShares[i];
  }
  return inverseSqrt(sum / f32(COLUMNS) + EPS);
}
