// best[d] = the 64 largest logits among ids below LIMIT, by falling logit, of equal ones by rising id: the same on
// every run. NaN comes before every number. Where LIMIT < 64 the rest is id 0xffffffff with logit -infinity.
// Links with rows.wgsl. Grid: a workgroup of LANES for each d-th row whose logits are asked for.
//
// A logit and its id make a unique pair, ordered as above, so there is exactly one answer. Every 256 pairs have a
// 64th best, and none below it can be among the 64 best of all: a bound. The first 256 are the best of each lane's
// share, which leaves few pairs at or above their bound, some 75 of 40,000 in no special order. Those are collected;
// if they are more than 256, the 256 that were kept give a higher bound, and the logits are read again.
override VOCAB: u32; // logits of a row
override LIMIT: u32; // ids at and above it are masked

struct Best {
  ids: array<u32, K>,
  logits: array<u32, K>, // the bits of f32: a NaN need not survive as a value
}

@group(0) @binding(0) var<storage, read> logits: array<u32>; // [MOST_DRAWN, VOCAB], the bits of f32
@group(0) @binding(1) var<storage, read_write> best: array<Best>; // [MOST_DRAWN]

const K = 64u;
const LANES = 256u;
const EMPTY = vec2u(0u); // after every pair; its id is 0xffffffff

var<workgroup> pairs: array<vec2u, LANES>;
var<workgroup> collected: atomic<u32>;
var<workgroup> total: u32;

// (key, ~id): keys are ordered as the numbers are, NaN first, -0 as 0.
fn pairOf(first: u32, id: u32) -> vec2u {
  var bits = logits[first + id];
  if ((bits & 0x7fffffffu) > 0x7f800000u) {
    bits = 0x7fc00000u;
  }
  if (bits == 0x80000000u) {
    bits = 0u;
  }
  return vec2u(select(bits | 0x80000000u, ~bits, bits >= 0x80000000u), ~id);
}

fn logitOf(pair: vec2u) -> u32 {
  if (all(pair == EMPTY)) {
    return 0xff800000u; // -infinity
  }
  return select(~pair.x, pair.x & 0x7fffffffu, pair.x >= 0x80000000u);
}

fn isBefore(a: vec2u, b: vec2u) -> bool {
  return a.x > b.x || (a.x == b.x && a.y > b.y);
}

// Bitonic: runs of `size` alternate in direction until one run has them all, the best pair first.
fn sortPairs(lane: u32) {
  for (var size = 2u; size <= LANES; size *= 2u) {
    for (var stride = size / 2u; stride > 0u; stride /= 2u) {
      workgroupBarrier();
      let other = lane ^ stride;
      if (other > lane) {
        let a = pairs[lane];
        let b = pairs[other];
        if (isBefore(b, a) == ((lane & size) == 0u)) {
          pairs[lane] = b;
          pairs[other] = a;
        }
      }
    }
  }
  workgroupBarrier();
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let d = workgroup.x;
  if (d >= rows.drawnCount) {
    return;
  }
  let first = d * VOCAB;
  var own = EMPTY;
  for (var id = lane; id < LIMIT; id += LANES) {
    let pair = pairOf(first, id);
    if (isBefore(pair, own)) {
      own = pair;
    }
  }
  pairs[lane] = own;
  sortPairs(lane);
  // Each round's bound is above the last one's, for it has 63 pairs before it and 192 after: the loop ends.
  loop {
    let bound = pairs[K - 1u];
    workgroupBarrier();
    pairs[lane] = EMPTY;
    if (lane == 0u) {
      atomicStore(&collected, 0u);
    }
    workgroupBarrier();
    for (var id = lane; id < LIMIT; id += LANES) {
      let pair = pairOf(first, id);
      if (!isBefore(bound, pair)) {
        let slot = atomicAdd(&collected, 1u);
        if (slot < LANES) {
          pairs[slot] = pair;
        }
      }
    }
    workgroupBarrier();
    if (lane == 0u) {
      total = atomicLoad(&collected);
    }
    sortPairs(lane);
    if (workgroupUniformLoad(&total) <= LANES) {
      break;
    }
  }
  if (lane < K) {
    best[d].ids[lane] = ~pairs[lane].y;
    best[d].logits[lane] = logitOf(pairs[lane]);
  }
}
