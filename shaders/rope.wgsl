// q and k of every row turned by the angles of its position p; k and v appended to the cache:
//   x'[i]                = x[i] * cos(p, i) - x[i + HEAD_DIM / 2] * sin(p, i)         i < HEAD_DIM / 2, the pairs of
//   x'[i + HEAD_DIM / 2] = x[i + HEAD_DIM / 2] * cos(p, i) + x[i] * sin(p, i)         Hugging Face's rotate_half
// Links with heads.wgsl, rows.wgsl, pages.wgsl and a cache_*.wgsl. Grid: ceil((HEADS + 2 * KV_HEADS) * HEAD_DIM / (LANES *
// PER_LANE)) x T workgroups. Rows that are no tokens, and positions past the context, write nothing.
override LANES: u32;

@group(0) @binding(0) var<storage, read_write> qkv: array<vec4f>;     // [T, (HEADS + 2 * KV_HEADS) * HEAD_DIM / 4]
@group(0) @binding(1) var<storage, read> table: array<vec4f>;         // [CONTEXT, HEAD_DIM / 4]: cos, sin, cos, sin
@group(0) @binding(2) var<storage, read_write> keys: array<Cached>;   // [KV_HEADS, CACHED, HEAD_DIM / 4]
@group(0) @binding(3) var<storage, read_write> values: array<Cached>; // [KV_HEADS, CACHED, HEAD_DIM / 4]

const PER_LANE = 8u; // values that a lane takes: four pairs of one head

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let quarter = HEAD_DIM / 4u; // a head's row, in vec4
  let half = HEAD_DIM / 8u;    // from x[i] to its pair, in vec4
  let head = id.x / half;      // q heads, then k heads, then v heads
  let i = id.x % half;
  let t = id.y;
  if (head >= HEADS + 2u * KV_HEADS || t >= rows.count || rows.row[t].position >= CONTEXT) {
    return;
  }
  let position = rows.row[t].position;
  let place = placeOf(rows.row[t].sequence, position);
  let low = (t * (HEADS + 2u * KV_HEADS) + head) * quarter + i;
  let x = qkv[low];
  let y = qkv[low + half];
  if (head >= HEADS + KV_HEADS) {
    let into = ((head - HEADS - KV_HEADS) * CACHED + place) * quarter + i;
    values[into] = toCached(x);
    values[into + half] = toCached(y);
    return;
  }
  let first = table[position * quarter + 2u * i];
  let second = table[position * quarter + 2u * i + 1u];
  let cosine = vec4f(first.xz, second.xz);
  let sine = vec4f(first.yw, second.yw);
  let turnedX = x * cosine - y * sine;
  let turnedY = y * cosine + x * sine;
  if (head < HEADS) {
    qkv[low] = turnedX;
    qkv[low + half] = turnedY;
  } else {
    let into = ((head - HEADS) * CACHED + place) * quarter + i;
    keys[into] = toCached(turnedX);
    keys[into + half] = toCached(turnedY);
  }
}
