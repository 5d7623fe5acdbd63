// Part: the sums of a lane's rows of the matrix, over its share of their columns, for each token: all rows at once, so that each step of
// the vectors is read once. Links with gemv.wgsl. Exports the same name as sums_in_turn.wgsl.
fn sumRows(firstToken: u32, rows: vec4u, own: u32) -> array<vec4f, TOKENS> {
  let starts = array(rowStart(rows.x), rowStart(rows.y), rowStart(rows.z), rowStart(rows.w));
  var sums: array<vec4f, TOKENS>;
  for (var pair = own; pair < PAIRS; pair += LANES_PER_ROW) {
    var steps: Steps;
    for (var t = 0u; t < TOKENS; t++) {
      steps[t] = stepOf(firstToken + t, pair);
    }
    for (var r = 0u; r < ROWS_PER_LANE; r++) {
      let dots = dotPair(starts[r], pair, steps);
      for (var t = 0u; t < TOKENS; t++) {
        sums[t][r] += dots[t];
      }
    }
  }
  return sums;
}
