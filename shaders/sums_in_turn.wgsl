// Part: as sums_together.wgsl, to the bit, one row after the other: what several vectors have in a step, kept for the next row, would take
// more registers than there are. Links with gemv.wgsl.
fn sumRows(firstToken: u32, rows: vec4u, own: u32) -> array<vec4f, TOKENS> {
  let place = placeOf(own);
  var sums: array<vec4f, TOKENS>;
  for (var r = 0u; r < ROWS_PER_LANE; r++) {
    let start = startsOf(vec4u(rows[r]))[0];
    var ofRow = Dots(); // without a value Dawn leaves in it what the last row had
    for (var pair = own; pair < PAIRS; pair += LANES_PER_ROW) {
      var x: Steps;
      for (var t = 0u; t < TOKENS; t++) {
        x[t] = stepOf(firstToken + t, pair);
      }
      ofRow = dotPair(start, pair, place, x, ofRow);
    }
    for (var t = 0u; t < TOKENS; t++) {
      sums[t][r] = ofRow[t];
    }
  }
  return sums;
}
