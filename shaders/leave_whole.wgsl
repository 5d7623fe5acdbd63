// Part: what attention_split.wgsl leaves where there is one split: the input of the next matrix. Links with tokens_1.wgsl, a store_*.wgsl and a
// merged_*.wgsl. Exports the same name as leave_share.wgsl.
const LONGEST_HEAD = 128u;

var<workgroup> attended: array<f32, LONGEST_HEAD>;

fn leave(token: u32, head: u32, split: u32, low: vec4f, high: vec4f, largest: f32, total: f32, lane: u32) {
  if (lane < HEAD_DIM / 8u) {
    for (var i = 0u; i < 4u; i++) {
      attended[8u * lane + i] = low[i] / total;
      attended[8u * lane + 4u + i] = high[i] / total;
    }
  }
  for (var group = 0u; group < HEAD_DIM / 32u; group++) {
    workgroupBarrier();
    let value = merged(attended[32u * group + lane % 32u], lane);
    if (lane < 32u) {
      handOver(lane, value, 0.0);
    }
    storeGroups(token, head * (HEAD_DIM / 32u) + group, lane);
  }
}
