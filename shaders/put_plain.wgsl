// Part: where qkv.wgsl leaves the 32 values of a head that a workgroup has, as they are. Links with a cache_*.wgsl. Exports
// the same names as put_mixed.wgsl.
@group(0) @binding(5) var<storage, read_write> keys: array<Cached>;   // [KV_HEADS, CACHED, HEAD_DIM / 4]
@group(0) @binding(6) var<storage, read_write> values: array<Cached>; // [KV_HEADS, CACHED, HEAD_DIM / 4]
@group(0) @binding(7) var<storage, read_write> q: array<vec4f>;       // [T, HEADS, HEAD_DIM / 4]

// Of q and k, lanes 0 to 3 have y[i] of the block's 16 pairs, four each, and lanes 4 to 7 their y[i + HEAD_DIM / 2].
fn pairPlace(block: u32, lane: u32) -> u32 {
  return 4u * block + lane % 4u + select(0u, HEAD_DIM / 8u, lane >= 4u);
}

// `row` is the token's and head's of q.
fn putQuery(row: u32, block: u32, four: vec4f, lane: u32) {
  if (lane < 8u) {
    q[row * (HEAD_DIM / 4u) + pairPlace(block, lane)] = four;
  }
}

// `row` is the head's of the cache, and the place in it.
fn putKey(row: u32, block: u32, four: vec4f, lane: u32) {
  if (lane < 8u) {
    keys[row * (HEAD_DIM / 4u) + pairPlace(block, lane)] = toCached(four);
  }
}

// Of v the lanes have 32 consecutive values.
fn putValue(row: u32, block: u32, four: vec4f, lane: u32) {
  if (lane < 8u) {
    values[row * (HEAD_DIM / 4u) + 8u * block + lane] = toCached(four);
  }
}
