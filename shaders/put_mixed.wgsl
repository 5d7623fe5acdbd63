// Part: where qkv.wgsl leaves the 32 values of a head that a workgroup has: as a group of the cache, mixed and rounded. The
// 16 pairs of q and k stay together as they are, y[i] first: what is summed over all of a head may stand in any order.
// Links with hadamard.wgsl, a codes_*.wgsl and round_group.wgsl. Exports the same names as put_plain.wgsl.
@group(0) @binding(5) var<storage, read_write> keys: array<u32>;   // [KV_HEADS, CACHED, HEAD_DIM] codes, then each group's word
@group(0) @binding(6) var<storage, read_write> values: array<u32>; // likewise
@group(0) @binding(7) var<storage, read_write> q: array<vec4f>;    // [T, HEADS, HEAD_DIM / 4]

override FIRST_WORD = KV_HEADS * CACHED * (HEAD_DIM / 4u / CODE_LANES);

// `row` is the token's and head's of q.
fn putQuery(row: u32, block: u32, four: vec4f, lane: u32) {
  let mixed = hadamard(four, lane);
  if (lane < 8u) {
    q[row * (HEAD_DIM / 4u) + 8u * block + lane] = mixed;
  }
}

// `row` is the head's of the cache, and the place in it.
fn putKey(row: u32, block: u32, four: vec4f, lane: u32) {
  let rounded = roundGroup(hadamard(four, lane), lane);
  let group = row * (HEAD_DIM / 32u) + block;
  if (lane < 8u && lane % CODE_LANES == 0u) {
    keys[(8u * group + lane) / CODE_LANES] = rounded.codes;
  }
  if (lane == 0u) {
    keys[FIRST_WORD + group] = rounded.group;
  }
}

fn putValue(row: u32, block: u32, four: vec4f, lane: u32) {
  let rounded = roundGroup(hadamard(four, lane), lane);
  let group = row * (HEAD_DIM / 32u) + block;
  if (lane < 8u && lane % CODE_LANES == 0u) {
    values[(8u * group + lane) / CODE_LANES] = rounded.codes;
  }
  if (lane == 0u) {
    values[FIRST_WORD + group] = rounded.group;
  }
}
