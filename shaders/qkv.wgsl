// q, k and v of each row, rotated and in place: q to its buffer, k and v to the cache. Of h, which is x · weight of the norm,
//   y = W h / rms(x),  and of q and k  y'[i] = y[i] cos - y[i + HEAD_DIM / 2] sin,  y'[i + HEAD_DIM / 2] = y[i + HEAD_DIM / 2] cos + y[i] sin
// Links with an input_*.wgsl, a dot_*.wgsl, a gemv*.wgsl, a tokens_*.wgsl, input_norm.wgsl, heads.wgsl, rows.wgsl and a put_*.wgsl. Grid: TILES
// workgroups for 16 such pairs, or 32 consecutive values of v: the stacked W_q, W_k and W_v has HEADS + 2 * KV_HEADS heads of HEAD_DIM / 32
// workgroups each.
@group(0) @binding(3) var<storage, read> table: array<vec4f>; // [CONTEXT, HEAD_DIM / 4]: cos, sin, cos, sin

fn fourSlots(t: u32, lane: u32) -> vec4f {
  let slot = 32u * t + 4u * (lane % 8u);
  return vec4f(products[slot], products[slot + 1u], products[slot + 2u], products[slot + 3u]);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let head = workgroup.x / TILES / (HEAD_DIM / 32u); // q heads, then k heads, then v heads
  let block = workgroup.x / TILES % (HEAD_DIM / 32u);
  let firstToken = workgroup.x % TILES * TOKENS;
  let isValue = head >= HEADS + KV_HEADS;
  gatherSquares(firstToken, lane);
  // Slots 0 to 15 are y[i] of the workgroup's pairs, 16 to 31 their y[i + HEAD_DIM / 2]; a lane's slots are on one side.
  let slot = slotOf(lane);
  let far = select(0u, HEAD_DIM / 2u - 16u, slot >= 16u && !isValue);
  let first = head * HEAD_DIM + block * select(16u, 32u, isValue) + slot + far;
  multiply(firstToken, vec4u(first, first + 1u, first + 2u, first + 3u), 0u, lane);
  for (var t = 0u; t < TOKENS; t++) {
    if (t > 0u) {
      workgroupBarrier(); // what put_mixed.wgsl keeps in workgroup memory is the last token's until here
    }
    let token = firstToken + t;
    let row = rows.row[token];
    if (token >= rows.count || row.position >= CONTEXT) {
      continue;
    }
    // Lanes 0 to 7 have four slots each.
    let scale = inverseRms(t);
    let own = fourSlots(t, lane) * scale;
    if (isValue) {
      putValue((head - HEADS - KV_HEADS) * CACHED + row.place, block, own, lane);
      continue;
    }
    let angles = row.position * (HEAD_DIM / 4u) + 8u * block + 2u * (lane % 4u);
    let cosine = vec4f(table[angles].xz, table[angles + 1u].xz);
    let sine = vec4f(table[angles].yw, table[angles + 1u].yw);
    let turned = own * cosine + select(sine, -sine, lane < 4u) * (fourSlots(t, lane ^ 4u) * scale);
    if (head < HEADS) {
      putQuery(token * HEADS + head, block, turned, lane);
    } else {
      putKey((head - HEADS) * CACHED + row.place, block, turned, lane);
    }
  }
}
