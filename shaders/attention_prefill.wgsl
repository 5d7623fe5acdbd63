// y[t, h, :] = sum over j <= position of row t of softmax_j(q[t, h, :] . keys[g, j, :] / sqrt(HEAD_DIM)) * values[g, j, :]
// where g = h / (HEADS / KV_HEADS), for many query rows, which share tiles of keys and values in workgroup memory.
// Links with rows.wgsl, pages.wgsl and a quartet_*.wgsl. Grid: HEADS x ceil(T / ROWS) workgroups of 64 lanes, each ROWS
// rows of one head. Rows of one sequence share its keys; where there are several sequences, one comes after the other.
// It walks the cache 16 positions at a time, which are of one page, and keeps an f32 online softmax for every row: the
// largest score so far, and sums relative to it. Rows that are no tokens write nothing. 12.7 KiB of workgroup memory at
// HEAD_DIM 128.
override HEADS: u32;
override KV_HEADS: u32;
override HEAD_DIM: u32; // a multiple of 4, at most 128
override CONTEXT: u32; // positions that a sequence may have
override CACHED: u32;  // positions that the cache has, of all sequences

@group(0) @binding(0) var<storage, read> qkv: array<vec4f>;     // [T, (HEADS + 2 * KV_HEADS) * HEAD_DIM / 4]
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>; // [T, HEADS * HEAD_DIM / 4]

const ROWS = 32u;        // query rows of a workgroup
const KEYS = 16u;        // positions of a tile: a page is a multiple of it, or the only one
const LANES = 64u;
const SIDE = 8u;         // the lanes are 8 x 8: down the rows, across the keys or the columns
const LANE_ROWS = 4u;    // ROWS / SIDE
const LANE_KEYS = 2u;    // KEYS / SIDE
const LANE_COLUMNS = 4u; // vec4 of a row that a lane sums: 128 / 4 / SIDE
const ROW_LANES = 2u;    // LANES / ROWS, the lanes that take the exponentials of one row
const LOWEST = -3.0e38;  // below every score, and far enough from the end of f32 to subtract from
const KEYS_STRIDE = KEYS + 1u;              // one of padding, so that rows start in different banks
override TILE_STRIDE = HEAD_DIM / 4u + 1u;  // likewise

var<workgroup> tile: array<vec4f, KEYS * TILE_STRIDE>; // [position, column]: keys, then values
var<workgroup> scores: array<f32, ROWS * KEYS_STRIDE>;
var<workgroup> weights: array<f32, ROWS * KEYS_STRIDE>; // exp(score - largest)
var<workgroup> rowFactors: array<f32, ROWS * ROW_LANES>; // what the sums of a row are multiplied by

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let head = workgroup.x;
  let firstRow = workgroup.y * ROWS;
  if (firstRow >= rows.count) {
    return;
  }
  let quarter = HEAD_DIM / 4u; // a head's row, in vec4
  let count = min(ROWS, rows.count - firstRow); // rows of this workgroup that are tokens
  let cacheHead = head / (HEADS / KV_HEADS) * CACHED;
  let scale = inverseSqrt(f32(HEAD_DIM));

  let down = lane / SIDE;
  let across = lane % SIDE;
  // A lane's rows are SIDE apart, and so are its keys and columns: neighbouring lanes read neighbouring ones.
  var query: array<u32, LANE_ROWS>; // where the rows begin; those past the end repeat the last token
  for (var r = 0u; r < LANE_ROWS; r++) {
    let t = min(firstRow + down + r * SIDE, rows.count - 1u);
    query[r] = (t * (HEADS + 2u * KV_HEADS) + head) * quarter;
  }
  let softmaxRow = lane / ROW_LANES;
  let softmaxPart = lane % ROW_LANES;

  var largest = LOWEST;  // of softmaxRow
  var denominator = 0.0; // of softmaxRow, over this lane's part of the positions
  var sums: array<array<vec4f, LANE_COLUMNS>, LANE_ROWS>;
  // Past the last token the tiles repeat it, with weight 0: what else is in the cache may be NaN, and 0 * NaN is NaN.
  for (var start = 0u; start < count;) {
    let sequence = rows.row[firstRow + start].sequence;
    var end = start + 1u;
    while (end < count && rows.row[firstRow + end].sequence == sequence) {
      end++;
    }
    let length = min(rows.row[firstRow + end - 1u].position + 1u, CONTEXT);
    // How many positions softmaxRow sees of this sequence.
    var visible = 0u;
    if (softmaxRow >= start && softmaxRow < end) {
      visible = rows.row[firstRow + softmaxRow].position + 1u;
    }
    for (var first = 0u; first < length; first += KEYS) {
      let place = cacheHead + placeOf(sequence, first);
      for (var i = lane; i < KEYS * quarter; i += LANES) {
        let k = min(first + i / quarter, length - 1u);
        tile[i / quarter * TILE_STRIDE + i % quarter] = keyQuartet((place + k - first) * quarter + i % quarter);
      }
      workgroupBarrier();
      // Without the initializer Dawn on Mesa zeroes the array once, not in every round.
      var products = array<vec2f, LANE_ROWS>(); // [row], a component per key
      for (var i = 0u; i < quarter; i++) {
        let key0 = tile[across * TILE_STRIDE + i];
        let key1 = tile[(across + SIDE) * TILE_STRIDE + i];
        for (var r = 0u; r < LANE_ROWS; r++) {
          let q = qkv[query[r] + i];
          products[r] += vec2f(dot(q, key0), dot(q, key1));
        }
      }
      for (var r = 0u; r < LANE_ROWS; r++) {
        for (var k = 0u; k < LANE_KEYS; k++) {
          scores[(down + r * SIDE) * KEYS_STRIDE + across + k * SIDE] = products[r][k] * scale;
        }
      }
      workgroupBarrier();

      // The values take the keys' place while each row finds its largest score and its exponentials.
      for (var i = lane; i < KEYS * quarter; i += LANES) {
        let k = min(first + i / quarter, length - 1u);
        tile[i / quarter * TILE_STRIDE + i % quarter] = valueQuartet((place + k - first) * quarter + i % quarter);
      }
      var larger = largest;
      for (var k = 0u; k < KEYS && first + k < visible; k++) {
        larger = max(larger, scores[softmaxRow * KEYS_STRIDE + k]);
      }
      let shrink = exp(largest - larger);
      largest = larger;
      denominator *= shrink;
      for (var k = softmaxPart; k < KEYS; k += ROW_LANES) {
        let at = softmaxRow * KEYS_STRIDE + k;
        let weight = select(0.0, exp(scores[at] - largest), first + k < visible);
        denominator += weight;
        weights[at] = weight;
      }
      if (softmaxPart == 0u) {
        rowFactors[softmaxRow] = shrink;
      }
      workgroupBarrier();

      for (var r = 0u; r < LANE_ROWS; r++) {
        let factor = rowFactors[down + r * SIDE];
        for (var c = 0u; c * SIDE < quarter; c++) {
          sums[r][c] *= factor;
        }
      }
      for (var k = 0u; k < KEYS; k++) {
        for (var c = 0u; c * SIDE < quarter; c++) {
          // Past the row's end a lane reads padding or the next row: sums that are never written.
          let value = tile[min(k * TILE_STRIDE + across + c * SIDE, KEYS * TILE_STRIDE - 1u)];
          for (var r = 0u; r < LANE_ROWS; r++) {
            sums[r][c] += weights[(down + r * SIDE) * KEYS_STRIDE + k] * value;
          }
        }
      }
      workgroupBarrier();
    }
    start = end;
  }

  rowFactors[lane] = denominator;
  workgroupBarrier();
  for (var r = 0u; r < LANE_ROWS; r++) {
    let row = down + r * SIDE;
    let total = rowFactors[row * ROW_LANES] + rowFactors[row * ROW_LANES + 1u];
    for (var c = 0u; c * SIDE < quarter; c++) {
      let column = across + c * SIDE;
      if (row < count && column < quarter) {
        y[((firstRow + row) * HEADS + head) * quarter + column] = sums[r][c] / total;
      }
    }
  }
}
