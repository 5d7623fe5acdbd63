// q, k and v of each row, rotated and in place: q to its buffer, k and v to the cache. Of h, which is x · weight of the norm,
//   y = W h / rms(x),  and of q and k  y'[i] = y[i] cos - y[i + HEAD_DIM / 2] sin,  y'[i + HEAD_DIM / 2] = y[i + HEAD_DIM / 2] cos + y[i] sin
// Links with an input_*.wgsl, a dot_*.wgsl, a gemv*.wgsl, a tokens_*.wgsl, turns.wgsl, input_norm.wgsl, heads.wgsl, rows.wgsl and a
// put_*.wgsl. Grid: TILES workgroups for each GROUPS times 16 such pairs, or 32 consecutive values of v, or what is left of them: the
// stacked W_q, W_k and W_v has HEADS + 2 * KV_HEADS heads of HEAD_DIM / 32 of them each.
@group(0) @binding(3) var<storage, read> table: array<vec4f>; // [CONTEXT, HEAD_DIM / 4]: cos, sin, cos, sin

override ALL_GROUPS = (HEADS + 2u * KV_HEADS) * (HEAD_DIM / 32u);

// Whether a group is of v: q heads come first, then k heads.
fn isOfValues(group: u32) -> bool {
  return group / (HEAD_DIM / 32u) >= HEADS + KV_HEADS;
}

// The four rows of the matrix that a lane does of a group. Slots 0 to 15 are y[i] of its pairs, 16 to 31 their y[i + HEAD_DIM / 2];
// a lane's slots are on one side.
fn rowsOf(group: u32, lane: u32) -> vec4u {
  let slot = slotOf(lane);
  let isValue = isOfValues(group);
  let far = select(0u, HEAD_DIM / 2u - 16u, slot >= 16u && !isValue);
  let head = group / (HEAD_DIM / 32u);
  let block = group % (HEAD_DIM / 32u);
  return vec4u(head * HEAD_DIM + block * select(16u, 32u, isValue) + slot + far) + vec4u(0u, 1u, 2u, 3u);
}

// Of the g-th group that the workgroup does.
fn fourSlots(g: u32, t: u32, lane: u32) -> vec4f {
  let slot = (g * TOKENS + t) * 32u + 4u * (lane % 8u);
  return vec4f(products[slot], products[slot + 1u], products[slot + 2u], products[slot + 3u]);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let firstGroup = workgroup.x / TILES * GROUPS;
  let firstToken = workgroup.x % TILES * TOKENS;
  // Of several tokens those that the pass has: as a number that the compiler knew it would be so many copies of the loop's body.
  let tokens = select(min(TOKENS, rows.count - min(firstToken, rows.count)), 1u, TILES * TOKENS == 1u);
  gatherSquares(firstToken, lane);
  // A group past the end repeats the last one; it is not put anywhere.
  multiplyGroups(firstToken, rowsOf(firstGroup, lane), rowsOf(min(firstGroup + 1u, ALL_GROUPS - 1u), lane), lane);
  for (var g = 0u; g < GROUPS; g++) {
    let group = firstGroup + g;
    if (GROUPS > 1u && group >= ALL_GROUPS) {
      break;
    }
    let head = group / (HEAD_DIM / 32u);
    let block = group % (HEAD_DIM / 32u);
    let isValue = isOfValues(group);
    for (var t = 0u; t < tokens; t++) {
      if (g + t > 0u) {
        workgroupBarrier(); // what put_mixed.wgsl keeps in workgroup memory is the last token's until here
      }
      let token = firstToken + t;
      let row = rows.row[token];
      if (row.position >= CONTEXT) {
        continue;
      }
      // Lanes 0 to 7 have four slots each.
      let scale = inverseRms(t);
      let own = fourSlots(g, t, lane) * scale;
      if (isValue) {
        putValue((head - HEADS - KV_HEADS) * CACHED + row.place, block, own, lane);
        continue;
      }
      let angles = row.position * (HEAD_DIM / 4u) + 8u * block + 2u * (lane % 4u);
      let cosine = vec4f(table[angles].xz, table[angles + 1u].xz);
      let sine = vec4f(table[angles].yw, table[angles + 1u].yw);
      let rotated = own * cosine + select(sine, -sine, lane < 4u) * (fourSlots(g, t, lane ^ 4u) * scale);
      if (head < HEADS) {
        putQuery(token * HEADS + head, block, rotated, lane);
      } else {
        putKey((head - HEADS) * CACHED + row.place, block, rotated, lane);
      }
    }
  }
}
