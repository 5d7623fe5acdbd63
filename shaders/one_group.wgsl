// Part: what multiplies one group of 32 rows at a time is asked for two halves, or for groups of rows that follow one another. Links
// with a gemv*.wgsl that has multiply.
const GROUPS = 1u; // of 32 rows, that a workgroup does where rows follow one another

// Both halves: the rows, and those `further` rows behind them. A loop, so that the product's code is there once.
fn multiplyHalves(firstToken: u32, rows: vec4u, further: u32, lane: u32) {
  for (var half = 0u; half < 2u; half++) {
    multiply(firstToken, rows + half * further, half, lane);
  }
}

// The rows, and those `beyond` where a workgroup does two groups.
fn multiplyGroups(firstToken: u32, rows: vec4u, beyond: vec4u, lane: u32) {
  multiply(firstToken, rows, 0u, lane);
}
