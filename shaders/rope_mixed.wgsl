// As rope.wgsl, for a cache in groups of 32: a group has 16 of a head's pairs, their x[i] first, or 32 consecutive values of
// v. q, k and v are mixed in groups; k and v are rounded as they are appended.
// Links with heads.wgsl, rows.wgsl, pages.wgsl, hadamard.wgsl, a codes_*.wgsl and round_group.wgsl. Grid: HEADS + 2 * KV_HEADS x T workgroups,
// each one head of one row. Rows that are no tokens, and positions past the context, write nothing.
@group(0) @binding(0) var<storage, read_write> qkv: array<vec4f>;  // [T, (HEADS + 2 * KV_HEADS) * HEAD_DIM / 4]
@group(0) @binding(1) var<storage, read> table: array<vec4f>;      // [CONTEXT, HEAD_DIM / 4]: cos, sin, cos, sin
@group(0) @binding(2) var<storage, read_write> keys: array<u32>;   // [KV_HEADS, CACHED, HEAD_DIM] codes, then each group's word
@group(0) @binding(3) var<storage, read_write> values: array<u32>; // likewise

override FIRST_WORD = KV_HEADS * CACHED * (HEAD_DIM / 4u / CODE_LANES);

@compute @workgroup_size(HADAMARD_LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let head = workgroup.x; // q heads, then k heads, then v heads
  let t = workgroup.y;
  if (t >= rows.count || rows.row[t].position >= CONTEXT) {
    return;
  }
  let position = rows.row[t].position;
  let quarter = HEAD_DIM / 4u; // a head's row, in vec4: a lane has one, where there are as many
  let start = (t * (HEADS + 2u * KV_HEADS) + head) * quarter;
  var four = vec4f(0.0);
  if (lane < quarter && head >= HEADS + KV_HEADS) {
    four = qkv[start + lane];
  } else if (lane < quarter) {
    let i = lane / 8u * 4u + lane % 4u;
    let x = qkv[start + i];
    let y = qkv[start + i + HEAD_DIM / 8u];
    let first = table[position * quarter + 2u * i];
    let second = table[position * quarter + 2u * i + 1u];
    let cosine = vec4f(first.xz, second.xz);
    let sine = vec4f(first.yw, second.yw);
    four = select(y * cosine + x * sine, x * cosine - y * sine, lane % 8u < 4u);
  }
  storageBarrier(); // q goes where other lanes have read
  let mixed = hadamard(four, lane);
  if (head < HEADS) {
    if (lane < quarter) {
      qkv[start + lane] = mixed;
    }
    return;
  }
  let rounded = roundGroup(mixed, lane);
  if (lane >= quarter) {
    return;
  }
  let cacheHead = (head - HEADS) % KV_HEADS;
  let at = (cacheHead * CACHED + placeOf(rows.row[t].sequence, position)) * quarter + lane;
  let isKey = head < HEADS + KV_HEADS;
  if (lane % CODE_LANES == 0u) {
    if (isKey) {
      keys[at / CODE_LANES] = rounded.codes;
    } else {
      values[at / CODE_LANES] = rounded.codes;
    }
  }
  if (lane % 8u == 0u) {
    if (isKey) {
      keys[FIRST_WORD + at / 8u] = rounded.group;
    } else {
      values[FIRST_WORD + at / 8u] = rounded.group;
    }
  }
}
