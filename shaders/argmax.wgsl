// best[d] = the id of the largest logit among ids below LIMIT, and that logit; of equal logits the lowest id. A NaN is
// not passed over: where there is one, best is the lowest id of a NaN, and NaN.
// Links with rows.wgsl and a reduce_*.wgsl. Grid: a workgroup for each d-th row whose logits are asked for; its lanes walk them
// WORKGROUP apart.
override VOCAB: u32; // logits of a row
override LIMIT: u32; // ids at and above it are masked; at most 2^24, since f32 carries ids exactly so far

struct Best {
  id: u32,
  logit: u32, // the bits of an f32: a NaN need not survive as a value
}

@group(0) @binding(0) var<storage, read> logits: array<u32>; // [MOST_DRAWN, VOCAB], the bits of f32
@group(0) @binding(1) var<storage, read_write> best: array<Best>; // [MOST_DRAWN]

const NONE = 16777216u; // 2^24, above every id

fn isNan(bits: u32) -> bool {
  return (bits & 0x7fffffffu) > 0x7f800000u; // by its bits: WGSL may take x != x for false
}

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, lane: Lane) {
  let d = workgroup.x;
  if (d >= rows.drawnCount) {
    return;
  }
  let first = d * VOCAB;
  // Where logit 0 is NaN nothing is larger, but then the NaN is what counts.
  var largest = bitcast<f32>(logits[first]);
  var id = 0u;
  var nan = NONE;
  for (var i = lane.index; i < LIMIT; i += WORKGROUP) {
    let bits = logits[first + i];
    if (isNan(bits)) {
      nan = min(nan, i);
    } else if (bitcast<f32>(bits) > largest) {
      largest = bitcast<f32>(bits);
      id = i;
    }
  }
  let lowestNan = u32(-workgroupMax(-f32(nan), lane));
  let winner = workgroupMax(largest, lane);
  let lowest = u32(-workgroupMax(-f32(select(NONE, id, largest == winner)), lane));
  if (lane.index == 0u) {
    let found = select(lowest, lowestNan, lowestNan != NONE);
    best[d] = Best(found, select(logits[first + found], 0x7fc00000u, lowestNan != NONE));
  }
}
