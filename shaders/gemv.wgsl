// Part: 32 rows of a slab, any 32, times the input: a workgroup's share of a matrix-vector product. Links with an
// input_*.wgsl and a dot_*.wgsl. A workgroup has LANES lanes: LANES_PER_ROW walk a row together, 64 columns a step and lane,
// and each of them does ROWS_PER_LANE rows at once, for which it reads the input once.
override LANES_PER_ROW: u32;
override ROWS_PER_LANE: u32; // 1, 2 or 4, and at most LANES_PER_ROW: a workgroup has a lane for each of its rows
override LANES = 32u / ROWS_PER_LANE * LANES_PER_ROW;

const SHARE_STRIDE = 33u; // one of padding, so that lanes of one row write to different banks

var<workgroup> shares: array<f32, SHARE_STRIDE * LANES_PER_ROW>; // [lane of a row, row]

// The first of the rows that a lane does, of the workgroup's 32; those after it follow.
fn slotOf(lane: u32) -> u32 {
  return lane / LANES_PER_ROW * ROWS_PER_LANE;
}

// `rows` are the slab's rows for slotOf(lane) and the slots after it. Lane i < 32 gets the product of slot i, the others 0.
// Call it in uniform control flow only.
fn multiply(rows: vec4u, lane: u32) -> f32 {
  let own = lane % LANES_PER_ROW;
  let starts = array(rowStart(rows.x), rowStart(rows.y), rowStart(rows.z), rowStart(rows.w));
  var sums = vec4f(0.0);
  for (var pair = own; pair < PAIRS; pair += LANES_PER_ROW) {
    let step = stepOf(pair);
    for (var r = 0u; r < ROWS_PER_LANE; r++) {
      sums[r] += dotPair(starts[r], pair, step);
    }
  }
  for (var r = 0u; r < ROWS_PER_LANE; r++) {
    shares[own * SHARE_STRIDE + slotOf(lane) + r] = sums[r];
  }
  workgroupBarrier();
  var sum = 0.0;
  if (lane < 32u) {
    for (var i = 0u; i < LANES_PER_ROW; i++) {
      sum += shares[i * SHARE_STRIDE + lane];
    }
  }
  workgroupBarrier();
  return sum;
}
