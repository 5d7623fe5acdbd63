// q, k and v of one row, rotated and in place: q to its buffer, k and v to the cache. Of h, which is x · weight of the norm,
//   y = W h / rms(x),  and of q and k  y'[i] = y[i] cos - y[i + HEAD_DIM / 2] sin,  y'[i + HEAD_DIM / 2] = y[i + HEAD_DIM / 2] cos + y[i] sin
// Links with an input_*.wgsl, a dot_*.wgsl, gemv.wgsl, input_norm.wgsl, rows.wgsl and a cache_*.wgsl. Grid: one workgroup for 16 such
// pairs: the stacked W_q, W_k and W_v has HEADS + 2 * KV_HEADS heads of HEAD_DIM / 32 workgroups each.
override HEADS: u32;
override KV_HEADS: u32;
override HEAD_DIM: u32; // a multiple of 32
override CONTEXT: u32;  // positions that the table of angles has
override CACHED: u32;   // positions that the cache has, of all sequences

@group(0) @binding(3) var<storage, read> table: array<vec4f>;         // [CONTEXT, HEAD_DIM / 4]: cos, sin, cos, sin
@group(0) @binding(5) var<storage, read_write> keys: array<Cached>;   // [KV_HEADS, CACHED, HEAD_DIM / 4]
@group(0) @binding(6) var<storage, read_write> values: array<Cached>; // [KV_HEADS, CACHED, HEAD_DIM / 4]
@group(0) @binding(7) var<storage, read_write> q: array<vec4f>;       // [HEADS, HEAD_DIM / 4]

var<workgroup> tile: array<f32, 32>;

// Slots 0 to 15 are y[i] of the workgroup's pairs, 16 to 31 their y[i + HEAD_DIM / 2].
fn rowOf(slot: u32, first: u32) -> u32 {
  return first + slot % 16u + select(0u, HEAD_DIM / 2u, slot >= 16u);
}

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let head = workgroup.x / (HEAD_DIM / 32u); // q heads, then k heads, then v heads
  let block = workgroup.x % (HEAD_DIM / 32u);
  let first = head * HEAD_DIM + block * 16u;
  gatherSquares(lane);
  let slot = slotOf(lane);
  let product = multiply(
    vec4u(rowOf(slot, first), rowOf(slot + 1u, first), rowOf(slot + 2u, first), rowOf(slot + 3u, first)),
    lane,
  );
  if (lane < 32u) {
    tile[lane] = product * inverseRms();
  }
  workgroupBarrier();
  let row = rows.row[0];
  if (lane >= 4u || row.position >= CONTEXT) {
    return;
  }
  let quarter = HEAD_DIM / 4u; // a head's row, in vec4
  let half = HEAD_DIM / 8u;    // from y[i] to its pair, in vec4
  let i = 4u * block + lane;   // the lane's four pairs, in vec4
  let x = vec4f(tile[4u * lane], tile[4u * lane + 1u], tile[4u * lane + 2u], tile[4u * lane + 3u]);
  let y = vec4f(tile[4u * lane + 16u], tile[4u * lane + 17u], tile[4u * lane + 18u], tile[4u * lane + 19u]);
  if (head >= HEADS + KV_HEADS) {
    let into = ((head - HEADS - KV_HEADS) * CACHED + row.place) * quarter + i;
    values[into] = toCached(x);
    values[into + half] = toCached(y);
    return;
  }
  let angles = row.position * quarter + 2u * i;
  let cosine = vec4f(table[angles].xz, table[angles + 1u].xz);
  let sine = vec4f(table[angles].yw, table[angles + 1u].yw);
  if (head < HEADS) {
    q[head * quarter + i] = x * cosine - y * sine;
    q[head * quarter + i + half] = y * cosine + x * sine;
  } else {
    let into = ((head - HEADS) * CACHED + row.place) * quarter + i;
    keys[into] = toCached(x * cosine - y * sine);
    keys[into + half] = toCached(y * cosine + x * sine);
  }
}
