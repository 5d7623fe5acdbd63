// y[t, FIRST_ROW + n] = sum over k of weight[n, k] * x[t, k], or y += that when ACCUMULATE, for one slab of a matrix and x as
// quads (quantise.wgsl).
// Links with rows.wgsl, product.wgsl, input_i8.wgsl, narrow.wgsl and a dot_*_narrow.wgsl. Grid: ceil(T / 4) x ceil(ROWS / 16) workgroups of one
// subgroup, those beside each other with the same rows of the matrix. A lane makes 2 rows for 4 tokens: more were more code
// than a processor keeps decoded.
const LANES = 8u;
const LANE_ROWS = 2u;
const TOKENS = 4u;
const QUAD_RECORD = 20u; // vec4u

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let firstToken = workgroup.x * TOKENS;
  if (firstToken >= rows.count) {
    return;
  }
  let row = (workgroup.y * LANES + lane) * LANE_ROWS;
  let start0 = rowStart(min(row, ROWS - 1u));
  let start1 = rowStart(min(row + 1u, ROWS - 1u));
  var sums0 = vec4f(0.0); // a component per token
  var sums1 = vec4f(0.0);
  for (var block = 0u; block < BLOCKS; block++) {
    let scales0 = scalesOf(start0, block);
    let scales1 = scalesOf(start1, block);
    let end = min(PAIRS, 4u * block + 4u);
    for (var pair = 4u * block; pair < end; pair++) {
      let weights0 = weightsOf(start0, pair, scales0);
      let weights1 = weightsOf(start1, pair, scales1);
      let record = (workgroup.x * PAIRS + pair) * QUAD_RECORD;
      let sums = bitcast<vec4f>(input[record + 16u + lane % TOKENS]);
      let lower = swapHalves(input[record + lane]);
      let a = pairsOfLower(lower, subgroupBroadcast(sums, 0u));
      sums0.x += dotPair(weights0, a);
      sums1.x += dotPair(weights1, a);
      let b = pairsOfUpper(lower, subgroupBroadcast(sums, 1u));
      sums0.y += dotPair(weights0, b);
      sums1.y += dotPair(weights1, b);
      let upper = swapHalves(input[record + LANES + lane]);
      let c = pairsOfLower(upper, subgroupBroadcast(sums, 2u));
      sums0.z += dotPair(weights0, c);
      sums1.z += dotPair(weights1, c);
      let d = pairsOfUpper(upper, subgroupBroadcast(sums, 3u));
      sums0.w += dotPair(weights0, d);
      sums1.w += dotPair(weights1, d);
    }
  }
  for (var t = 0u; t < min(TOKENS, rows.count - firstToken); t++) {
    if (row < ROWS) {
      put(firstToken + t, row, sums0[t]);
    }
    if (row + 1u < ROWS) {
      put(firstToken + t, row + 1u, sums1[t]);
    }
  }
}
