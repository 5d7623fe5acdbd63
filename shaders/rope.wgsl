// q and k of every token turned by the angles of its position p = step.position + t; k and v appended to the cache:
//   x'[i]                = x[i] * cos(p, i) - x[i + HEAD_DIM / 2] * sin(p, i)         i < HEAD_DIM / 2, the pairs of
//   x'[i + HEAD_DIM / 2] = x[i + HEAD_DIM / 2] * cos(p, i) + x[i] * sin(p, i)         Hugging Face's rotate_half
// Links with step.wgsl and a cache_*.wgsl. Grid: ceil((HEADS + 2 * KV_HEADS) * HEAD_DIM / 512) x T workgroups; a lane
// takes four pairs of one head. Rows that are no tokens, and positions past the cache, write nothing.
override HEADS: u32;
override KV_HEADS: u32;
override HEAD_DIM: u32; // a multiple of 8
override CONTEXT: u32;  // positions that the cache and the table have

@group(0) @binding(0) var<storage, read_write> qkv: array<vec4f>;     // [T, (HEADS + 2 * KV_HEADS) * HEAD_DIM / 4]
@group(0) @binding(1) var<storage, read> table: array<vec4f>;         // [CONTEXT, HEAD_DIM / 4]: cos, sin, cos, sin
@group(0) @binding(2) var<storage, read_write> keys: array<Cached>;   // [KV_HEADS, CONTEXT, HEAD_DIM / 4]
@group(0) @binding(3) var<storage, read_write> values: array<Cached>; // [KV_HEADS, CONTEXT, HEAD_DIM / 4]
@group(0) @binding(4) var<uniform> step: Step;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let quarter = HEAD_DIM / 4u; // a head's row, in vec4
  let half = HEAD_DIM / 8u;    // from x[i] to its pair, in vec4
  let head = id.x / half;      // q heads, then k heads, then v heads
  let i = id.x % half;
  let t = id.y;
  let position = step.position + t;
  if (head >= HEADS + 2u * KV_HEADS || t >= step.count || position >= CONTEXT) {
    return;
  }
  let low = (t * (HEADS + 2u * KV_HEADS) + head) * quarter + i;
  let x = qkv[low];
  let y = qkv[low + half];
  if (head >= HEADS + KV_HEADS) {
    let into = ((head - HEADS - KV_HEADS) * CONTEXT + position) * quarter + i;
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
    let into = ((head - HEADS) * CONTEXT + position) * quarter + i;
    keys[into] = toCached(turnedX);
    keys[into + half] = toCached(turnedY);
  }
}
