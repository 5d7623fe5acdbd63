// Attention of each row from the shares of attention_split.wgsl, as the input of the next matrix.
// Links with tokens_1.wgsl, a store_*.wgsl and a merged_*.wgsl. Grid: HEADS * HEAD_DIM / 32 x T workgroups, each 32 values of a head.
override HEADS: u32;
override HEAD_DIM: u32; // a multiple of 32
override SPLITS: u32;

// [T, HEADS, SPLITS, HEAD_DIM + 4]: the sums of values, then largest and the sum of weights
@group(0) @binding(0) var<storage, read> shares: array<f32>;

const LANES = 32u;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let stride = HEAD_DIM + 4u;
  let first = (workgroup.y * HEADS + workgroup.x / (HEAD_DIM / 32u)) * SPLITS * stride;
  let column = workgroup.x % (HEAD_DIM / 32u) * 32u + lane;
  // The first split has the first position, which every row sees; shares without positions weigh nothing.
  var largest = shares[first + HEAD_DIM];
  for (var split = 1u; split < SPLITS; split++) {
    largest = max(largest, shares[first + split * stride + HEAD_DIM]);
  }
  var sum = 0.0;
  var total = 0.0;
  for (var split = 0u; split < SPLITS; split++) {
    let at = first + split * stride;
    let weight = exp(shares[at + HEAD_DIM] - largest);
    sum += weight * shares[at + column];
    total += weight * shares[at + HEAD_DIM + 1u];
  }
  handOver(lane, merged(sum / total, lane), 0.0);
  storeGroups(workgroup.y, workgroup.x, lane);
}
