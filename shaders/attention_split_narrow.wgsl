// As attention_split.wgsl, for subgroups of 8 lanes: the vector units of a processor, where neighbours gain nothing by reading
// neighbouring bytes and a barrier costs what hundreds of instructions do.
// Links with heads.wgsl, rows.wgsl, pages.wgsl, splits.wgsl and an octet_*.wgsl. Grid: HEADS x SPLITS x T workgroups of one subgroup each. For scores a lane
// has keys of its own, for sums columns of its own; what is the same for all lanes is read once and handed round.
enable subgroups;

// [T, HEADS, SPLITS, HEAD_DIM / 4 + 1]: the sums of values, then largest and the sum of weights
@group(0) @binding(3) var<storage, read_write> parts: array<vec4f>;

const LANES = 8u;       // positions at a time, which are of one page
const LONGEST = 256u;
const LOWEST = -3.0e38; // below every score, and far enough from the end of f32 to subtract from

var<workgroup> scores: array<f32, LONGEST>; // of a position; then exp(score - largest). A lane has those that it wrote.

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let head = workgroup.x;
  let split = workgroup.y;
  let eighth = HEAD_DIM / 8u; // a head's row, in octets
  let token = workgroup.z;
  if (token >= rows.count) {
    return;
  }
  let own = splitOf(token, split);
  let count = max(own.end, own.begin) - own.begin;
  let blocks = (count + LANES - 1u) / LANES;
  let queryHead = token * HEADS + head;
  let cacheHead = head / (HEADS / KV_HEADS) * CACHED;

  var largest = LOWEST;
  for (var block = 0u; block < blocks; block++) {
    let place = cacheHead + placeOf(own.sequence, own.begin + block * LANES);
    let isVisible = block * LANES + lane < count;
    // A lane past the end takes the last position, for it reads of the query what the others need.
    var key = (place + min(lane, count - 1u - block * LANES)) * eighth;
    var score = 0.0;
    for (var i = queryHead * HEAD_DIM / 4u; i < (queryHead + 1u) * HEAD_DIM / 4u; i += LANES) {
      let query = q[i + lane];
      score += scoreOf(keyOctet(key), subgroupBroadcast(query, 0u), subgroupBroadcast(query, 1u));
      score += scoreOf(keyOctet(key + 1u), subgroupBroadcast(query, 2u), subgroupBroadcast(query, 3u));
      score += scoreOf(keyOctet(key + 2u), subgroupBroadcast(query, 4u), subgroupBroadcast(query, 5u));
      score += scoreOf(keyOctet(key + 3u), subgroupBroadcast(query, 6u), subgroupBroadcast(query, 7u));
      key += 4u;
    }
    score = select(LOWEST, score * inverseSqrt(f32(HEAD_DIM)), isVisible);
    scores[block * LANES + lane] = score;
    largest = max(largest, score);
  }
  largest = subgroupMax(largest);

  var denominator = 0.0; // of this lane's positions
  for (var block = 0u; block < blocks; block++) {
    let at = block * LANES + lane;
    let weight = select(0.0, exp(scores[at] - largest), at < count);
    scores[at] = weight;
    denominator += weight;
  }
  let total = subgroupAdd(denominator);

  let into = (queryHead * SPLITS + split) * (2u * eighth + 1u);
  for (var first = 0u; first < eighth; first += LANES) {
    let column = min(first + lane, eighth - 1u); // where there are fewer columns than lanes, the last one again
    var low = vec4f(0.0);
    var high = vec4f(0.0);
    for (var block = 0u; block < blocks; block++) {
      let place = cacheHead + placeOf(own.sequence, own.begin + block * LANES);
      let positions = min(LANES, count - block * LANES); // what else is in the cache may be NaN, and 0 * NaN is NaN
      let weight = scores[block * LANES + lane];
      for (var i = 0u; i < positions; i++) {
        let value = valueOctet((place + i) * eighth + column);
        let share = subgroupShuffle(weight, i);
        low += share * value.low;
        high += share * value.high;
      }
    }
    if (first + lane < eighth) {
      parts[into + 2u * column] = low;
      parts[into + 2u * column + 1u] = high;
    }
  }
  if (lane == 0u) {
    parts[into + 2u * eighth] = vec4f(largest, total, 0.0, 0.0);
  }
}

fn scoreOf(key: Octet, low: vec4f, high: vec4f) -> f32 {
  return dot(low, key.low) + dot(high, key.high);
}
