// Part: 32 rows of a slab, any 32, times the inputs of TOKENS tokens: a workgroup's share of a product. Links with an
// input_*.wgsl, a dot_*.wgsl, a sums_*.wgsl and a tokens_*.wgsl. A workgroup has LANES lanes: LANES_PER_ROW walk a row together, 64
// columns a step and lane, and each of them does ROWS_PER_LANE rows.
override LANES_PER_ROW: u32; // a multiple of 4: a lane's steps are all at one place in their super-blocks of 256 columns
override ROWS_PER_LANE: u32; // 1, 2 or 4, and at most LANES_PER_ROW: a workgroup has a lane for each of its rows
override STEPS = (PAIRS + LANES_PER_ROW - 1u) / LANES_PER_ROW;
override LANES = 32u / ROWS_PER_LANE * LANES_PER_ROW;

const SHARE_STRIDE = 33u; // one of padding, so that lanes of one row write to different banks

alias Steps = array<Step, TOKENS>;

var<workgroup> shares: array<f32, SHARE_STRIDE * LANES_PER_ROW>; // [lane of a row, row]
var<workgroup> products: array<f32, 2u * TOKENS * 32u>;          // [half, token, slot]: what multiply() leaves

// The first of the rows that a lane does, of the workgroup's 32; those after it follow.
fn slotOf(lane: u32) -> u32 {
  return lane / LANES_PER_ROW * ROWS_PER_LANE;
}

// STEPS, which no compiler is to know: one that counts five steps unrolls them, and has room for half of the waves.
fn stepsOfLane() -> u32 {
  return select(STEPS, arrayLength(&input), arrayLength(&weight) == 0u);
}

// `rows` are the slab's rows for slotOf(lane) and the slots after it, which follow one another. All lanes may read the half of products
// then, until the next call with the same one. A token's sums are added in the same order whatever TOKENS is. Call it in uniform
// control flow only.
fn multiply(firstToken: u32, rows: vec4u, half: u32, lane: u32) {
  let own = lane % LANES_PER_ROW;
  let sums = sumRows(firstToken, rows, own);
  for (var t = 0u; t < TOKENS; t++) {
    for (var r = 0u; r < ROWS_PER_LANE; r++) {
      shares[own * SHARE_STRIDE + slotOf(lane) + r] = settled(sums[t][r], own);
    }
    workgroupBarrier();
    if (lane < 32u) {
      var sum = 0.0;
      for (var i = 0u; i < LANES_PER_ROW; i++) {
        sum += shares[i * SHARE_STRIDE + lane];
      }
      products[(half * TOKENS + t) * 32u + lane] = sum;
    }
    workgroupBarrier();
  }
}
