// Part: the sums of a lane's rows of the matrix, over its share of their columns, for each token: all rows at once, so that each step of
// the vectors is read once. Links with gemv.wgsl. Exports the same name as sums_in_turn.wgsl.
fn sumRows(firstToken: u32, rows: vec4u, own: u32) -> array<vec4f, TOKENS> {
  let place = placeOf(own);
  let starts = startsOf(rows);
  var ofRows: array<Dots, 4>;
  var pair = own;
  // As many for all lanes: where each leaves the loop at its own time, Mesa's compiler for NVIDIA's cards moves registers for it.
  let steps = stepsOfLane();
  for (var i = 0u; i < steps; i++) {
    if (PAIRS % LANES_PER_ROW == 0u || pair < PAIRS) {
      var x: Steps;
      for (var t = 0u; t < TOKENS; t++) {
        x[t] = stepOf(firstToken + t, pair);
      }
      for (var r = 0u; r < ROWS_PER_LANE; r++) {
        ofRows[r] = dotPair(starts[r], pair, place, x, ofRows[r]);
      }
    }
    pair += LANES_PER_ROW;
  }
  var sums: array<vec4f, TOKENS>;
  for (var r = 0u; r < ROWS_PER_LANE; r++) {
    for (var t = 0u; t < TOKENS; t++) {
      sums[t][r] = ofRows[r][t];
    }
  }
  return sums;
}
