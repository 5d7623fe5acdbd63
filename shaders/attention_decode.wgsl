// y[t, h, :] = sum over j <= position of row t of softmax_j(q[t, h, :] . keys[g, j, :] / sqrt(HEAD_DIM)) * values[g, j, :]
// where g = h / (HEADS / KV_HEADS), for one query row or a few: nothing is shared between rows.
// Links with heads.wgsl, rows.wgsl, pages.wgsl, a quartet_*.wgsl and a reduce_*.wgsl. Grid: HEADS x T workgroups, each one head of one row. It
// walks the cache WORKGROUP positions at a time and keeps an f32 online softmax: the largest score so far, and sums
// relative to it. HEAD_DIM / 4 <= WORKGROUP. Rows that are no tokens write nothing.
@group(0) @binding(0) var<storage, read> qkv: array<vec4f>;     // [T, (HEADS + 2 * KV_HEADS) * HEAD_DIM / 4]
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>; // [T, HEADS * HEAD_DIM / 4]

const SLICES = 4u;           // lanes that share one key's row, so that they read neighbouring bytes
const SLICE_LONGEST = 8u;    // vec4 of a row in one slice: 128 / 4 / SLICES
const LOWEST = -3.0e38;      // below every score, and far enough from the end of f32 to subtract from
override SLICE_STRIDE = WORKGROUP + 8u; // eight of padding, so that the slices of a key hit different banks

var<workgroup> partialScores: array<f32, SLICES * SLICE_STRIDE>; // [slice, position]
var<workgroup> weights: array<f32, WORKGROUP>;                   // exp(score - largest) of the positions at hand
var<workgroup> partialSums: array<vec4f, WORKGROUP>;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, lane: Lane) {
  let head = workgroup.x;
  let t = workgroup.y;
  if (t >= rows.count) {
    return;
  }
  let quarter = HEAD_DIM / 4u; // a head's row, in vec4
  let sequence = rows.row[t].sequence;
  let length = min(rows.row[t].position + 1u, CONTEXT);
  let cacheHead = head / (HEADS / KV_HEADS) * CACHED;

  let slice = lane.index % SLICES;
  let start = (t * (HEADS + 2u * KV_HEADS) + head) * quarter;
  var query: array<vec4f, SLICE_LONGEST>; // the vec4 slice, slice + SLICES, ... of the row
  for (var i = 0u; i < quarter / SLICES; i++) {
    query[i] = qkv[start + i * SLICES + slice] * inverseSqrt(f32(HEAD_DIM));
  }

  // For the values a lane owns four columns, and shares the positions with the lanes that own the same ones.
  let column = lane.index % quarter;
  let share = lane.index / quarter;
  let shares = WORKGROUP / quarter;

  var largest = LOWEST;
  var denominator = 0.0; // of this lane's positions
  var sum = vec4f(0.0);  // of this lane's columns, over its share of the positions
  for (var first = 0u; first < length; first += WORKGROUP) {
    for (var k = lane.index / SLICES; k < min(WORKGROUP, length - first); k += WORKGROUP / SLICES) {
      let row = (cacheHead + placeOf(sequence, first + k)) * quarter + slice;
      var score = 0.0;
      for (var i = 0u; i < quarter / SLICES; i++) {
        score += dot(query[i], keyQuartet(row + i * SLICES));
      }
      partialScores[slice * SLICE_STRIDE + k] = score;
    }
    workgroupBarrier();
    let isVisible = first + lane.index < length;
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
    sum *= shrink;
    if (share < shares) {
      for (var k = share; k < min(WORKGROUP, length - first); k += shares) {
        sum += weights[k] * valueQuartet((cacheHead + placeOf(sequence, first + k)) * quarter + column);
      }
    }
    // No barrier here: the next write to weights comes after those in the next round.
  }
  partialSums[lane.index] = sum;
  let total = workgroupSum(denominator, lane);
  if (lane.index < quarter) {
    for (var i = lane.index + quarter; i < shares * quarter; i += quarter) {
      sum += partialSums[i];
    }
    y[(t * HEADS + head) * quarter + lane.index] = sum / total;
  }
}
