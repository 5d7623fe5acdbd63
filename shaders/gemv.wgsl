// Part: 32 rows of a slab, any 32, times the inputs of TOKENS tokens: a workgroup's share of a product. Links with an
// input_*.wgsl, a dot_*.wgsl, a sums_*.wgsl and a tokens_*.wgsl. A workgroup has LANES lanes: LANES_PER_ROW walk a row together, 64 columns a step
// and lane, and each of them does ROWS_PER_LANE rows at once, for which it reads the inputs once.
override LANES_PER_ROW: u32;
override ROWS_PER_LANE: u32; // 1, 2 or 4, and at most LANES_PER_ROW: a workgroup has a lane for each of its rows
override LANES = 32u / ROWS_PER_LANE * LANES_PER_ROW;

const SHARE_STRIDE = 33u; // one of padding, so that lanes of one row write to different banks

alias Steps = array<Step, TOKENS>;

var<workgroup> shares: array<f32, SHARE_STRIDE * LANES_PER_ROW>; // [lane of a row, row]
var<workgroup> products: array<f32, 2u * TOKENS * 32u>;          // [half, token, slot]: what multiply() leaves

// The first of the rows that a lane does, of the workgroup's 32; those after it follow.
fn slotOf(lane: u32) -> u32 {
  return lane / LANES_PER_ROW * ROWS_PER_LANE;
}

// `rows` are the slab's rows for slotOf(lane) and the slots after it. All lanes may read the half of products then, until the next
// call with the same one. A token's sums are added in the same order whatever TOKENS is. Call it in uniform control flow only.
fn multiply(firstToken: u32, rows: vec4u, half: u32, lane: u32) {
  let own = lane % LANES_PER_ROW;
  let sums = sumRows(firstToken, rows, own);
  for (var t = 0u; t < TOKENS; t++) {
    for (var r = 0u; r < ROWS_PER_LANE; r++) {
      shares[own * SHARE_STRIDE + slotOf(lane) + r] = sums[t][r];
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
