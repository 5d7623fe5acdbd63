// Of each row, head and split of the positions that it sees, of SPAN each: the largest score, and relative to it the sums of
//   exp(q . keys[j] / sqrt(HEAD_DIM) - largest)  and of that times  values[j, :]
// which attention_merge.wgsl puts together, or their quotient where there is one split.
// Links with heads.wgsl, rows.wgsl, pages.wgsl, splits.wgsl, an octet_*.wgsl, a reduce_*.wgsl and a leave_*.wgsl. Grid: HEADS x SPLITS x T workgroups of 256
// lanes. It walks its positions 256 at a time, RUN of which stand together in a page, and keeps an f32 online softmax.
const LANES = 256u;
const RUN = 16u;             // positions that a lane takes from one page
const SLICES = 4u;           // lanes that share one key's row, so that they read neighbouring bytes
const SLICE_LONGEST = 4u;    // octets of a row in one slice: 128 / 8 / SLICES
const LOWEST = -3.0e38;      // below every score, and far enough from the end of f32 to subtract from
const SLICE_STRIDE = LANES + 8u; // eight of padding, so that the slices of a key hit different banks

var<workgroup> partialScores: array<f32, SLICES * SLICE_STRIDE>; // [slice, position]
var<workgroup> weights: array<f32, LANES>;                       // exp(score - largest) of the positions at hand
var<workgroup> partialSums: array<vec4f, LANES>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, lane: Lane) {
  let head = workgroup.x;
  let split = workgroup.y;
  let eighth = HEAD_DIM / 8u; // a head's row, in octets
  let token = workgroup.z;
  if (token >= rows.count) {
    return;
  }
  let own = splitOf(token, split);
  let cacheHead = head / (HEADS / KV_HEADS) * CACHED;

  let slice = lane.index % SLICES;
  var query: array<vec4f, 2u * SLICE_LONGEST>; // the octets slice, slice + SLICES, ... of the row
  for (var i = 0u; i < eighth / SLICES; i++) {
    let at = 2u * ((token * HEADS + head) * eighth + i * SLICES + slice);
    query[2u * i] = q[at] * inverseSqrt(f32(HEAD_DIM));
    query[2u * i + 1u] = q[at + 1u] * inverseSqrt(f32(HEAD_DIM));
  }

  // Of the values a lane owns eight columns, of a run of positions that no other lane with these columns has.
  let column = lane.index % eighth;
  let run = lane.index / eighth;

  var largest = LOWEST;
  var denominator = 0.0; // of this lane's positions
  var low = vec4f(0.0);  // of this lane's columns, over its runs
  var high = vec4f(0.0);
  for (var first = own.begin; first < own.end; first += LANES) {
    let count = min(LANES, own.end - first);
    for (var k = lane.index / SLICES; k < count; k += LANES / SLICES) {
      let row = (cacheHead + placeOf(own.sequence, first + k)) * eighth + slice;
      var score = 0.0;
      for (var i = 0u; i < eighth / SLICES; i++) {
        let key = keyOctet(row + i * SLICES);
        score += dot(query[2u * i], key.low) + dot(query[2u * i + 1u], key.high);
      }
      partialScores[slice * SLICE_STRIDE + k] = score;
    }
    workgroupBarrier();
    let isVisible = lane.index < count;
    var score = LOWEST;
    if (isVisible) {
      score = 0.0;
      for (var s = 0u; s < SLICES; s++) {
        score += partialScores[s * SLICE_STRIDE + lane.index];
      }
    }
    let larger = max(largest, workgroupMax(score, lane));
    let shrink = exp(largest - larger);
    largest = larger;
    let weight = select(0.0, exp(score - largest), isVisible);
    denominator = denominator * shrink + weight;
    weights[lane.index] = weight;
    workgroupBarrier();
    low *= shrink;
    high *= shrink;
    for (var start = run * RUN; start < count; start += LANES / eighth * RUN) {
      let row = (cacheHead + placeOf(own.sequence, first + start)) * eighth + column;
      for (var i = 0u; i < min(RUN, count - start); i++) {
        let value = valueOctet(row + i * eighth);
        low += weights[start + i] * value.low;
        high += weights[start + i] * value.high;
      }
    }
    // No barrier here: the next write to weights comes after those in the next round.
  }
  let total = workgroupSum(denominator, lane);
  // The lanes with the same columns add up, one half of them after the other.
  partialSums[lane.index] = low;
  workgroupBarrier();
  if (lane.index < eighth) {
    for (var i = lane.index + eighth; i < LANES / eighth * eighth; i += eighth) {
      low += partialSums[i];
    }
  }
  workgroupBarrier();
  partialSums[lane.index] = high;
  workgroupBarrier();
  if (lane.index < eighth) {
    for (var i = lane.index + eighth; i < LANES / eighth * eighth; i += eighth) {
      high += partialSums[i];
    }
  }
  leave(token, head, split, low, high, largest, total, lane.index);
}
