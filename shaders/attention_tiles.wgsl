// y[t, h, :] = sum over j <= position of row t of softmax_j(q[t, h, :] . keys[g, j, :] / sqrt(HEAD_DIM)) * values[g, j, :]
// where g = h / GROUP, for many rows, which share tiles of keys and values in workgroup memory.
// Links with heads.wgsl, rows.wgsl, pages.wgsl, an octet_*.wgsl and queries.wgsl. Grid: KV_HEADS x ceil(T * GROUP / ROWS) workgroups of 256 lanes, each
// ROWS queries: of a token all that read the same keys, then the next token's. It walks the cache 16 positions at a time, which
// are of one page and begin at a multiple of 16, and keeps an f32 online softmax for every query: the largest score so far, and
// sums relative to it. Where tokens are of several sequences, one comes after the other. So a query's numbers are the same to
// the bit whatever else is in the pass. Rows that are no tokens write nothing. 13.8 KiB of workgroup memory at HEAD_DIM 128.
const LANES = 256u;
const ROWS = 64u;       // queries of a workgroup
const KEYS = 16u;       // positions of a tile: a page is a multiple of it, or the only one
// Of scores a lane has 2 x 2, of the sums 4 queries x 2 vec4: neighbouring lanes have neighbouring keys and columns.
const SCORE_ACROSS = 8u; // lanes beside each other: KEYS / 2
const SCORE_DOWN = 32u;  // lanes below each other: ROWS / 2
const SUM_SIDE = 16u;    // lanes beside and below each other
const PARTS = 4u;        // lanes that take the exponentials of one query, four each
const WEIGHTS_STRIDE = 5u; // vec4 of a query: one of padding, so that queries start in different banks
const LOWEST = -3.0e38; // below every score, and far enough from the end of f32 to subtract from
override TILE_STRIDE = HEAD_DIM / 4u + 1u; // likewise padded

var<workgroup> tile: array<vec4f, KEYS * TILE_STRIDE>; // [position, column]: keys, then values
var<workgroup> weights: array<vec4f, ROWS * WEIGHTS_STRIDE>; // [query, position / 4]: scores, then exp(score - largest)
var<workgroup> rowFactors: array<f32, ROWS * PARTS>; // what a query's sums are multiplied by; at the end its denominators
var<workgroup> spoilt: atomic<u32>; // the first position whose value is no number, of those that not all queries see

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let firstQuery = workgroup.y * ROWS;
  let total = rows.count * GROUP;
  if (firstQuery >= total) {
    return;
  }
  let count = min(ROWS, total - firstQuery); // queries of this workgroup that are of tokens
  let quarter = HEAD_DIM / 4u; // a head's row, in vec4
  let eighth = HEAD_DIM / 8u;  // and in octets
  let cacheHead = workgroup.x * CACHED;
  let scale = inverseSqrt(f32(HEAD_DIM));

  // What a lane has of the scores. Queries past the end repeat the last one.
  let scoreDown = lane / SCORE_ACROSS;
  let scoreAcross = lane % SCORE_ACROSS;
  let query0 = queryStart(workgroup.x, min(firstQuery + scoreDown, total - 1u));
  let query1 = queryStart(workgroup.x, min(firstQuery + scoreDown + SCORE_DOWN, total - 1u));
  // Of the softmax.
  let softmaxRow = lane / PARTS;
  let part = lane % PARTS;
  var largest = LOWEST;  // of softmaxRow
  var denominator = 0.0; // of softmaxRow, over this lane's part of the positions
  // Of the sums.
  let down = lane / SUM_SIDE;
  let across = lane % SUM_SIDE;
  let column0 = min(across, quarter - 1u); // where there are fewer columns than lanes, the last one again
  let column1 = min(across + SUM_SIDE, quarter - 1u);
  var sums0: array<vec4f, 4>; // [query], of column0
  var sums1: array<vec4f, 4>; // of column1

  for (var start = 0u; start < count;) {
    let span = spanOf(firstQuery, start, count);
    // How many positions softmaxRow sees of this sequence.
    var visible = 0u;
    if (softmaxRow >= start && softmaxRow < span.end) {
      visible = rows.row[(firstQuery + softmaxRow) / GROUP].position + 1u;
    }
    if (lane == 0u) {
      atomicStore(&spoilt, CONTEXT);
    }
    for (var first = 0u; first < span.length; first += KEYS) {
      // Past the last token the tiles repeat it: what else is in the cache may be NaN.
      let place = cacheHead + placeOf(span.sequence, first);
      for (var i = lane; i < KEYS * eighth; i += LANES) {
        let k = min(i / eighth, span.length - 1u - first);
        let key = keyOctet((place + k) * eighth + i % eighth);
        let at = i / eighth * TILE_STRIDE + 2u * (i % eighth);
        tile[at] = key.low;
        tile[at + 1u] = key.high;
      }
      workgroupBarrier();
      var score00 = 0.0; // of query0 and the first key
      var score01 = 0.0;
      var score10 = 0.0;
      var score11 = 0.0;
      for (var i = 0u; i < quarter; i++) {
        let key0 = tile[scoreAcross * TILE_STRIDE + i];
        let key1 = tile[(scoreAcross + SCORE_ACROSS) * TILE_STRIDE + i];
        let q0 = qkv[query0 + i];
        let q1 = qkv[query1 + i];
        score00 += dot(q0, key0);
        score01 += dot(q0, key1);
        score10 += dot(q1, key0);
        score11 += dot(q1, key1);
      }
      let into0 = scoreDown * WEIGHTS_STRIDE + scoreAcross / 4u;
      let into1 = into0 + SCORE_DOWN * WEIGHTS_STRIDE;
      weights[into0][scoreAcross % 4u] = score00 * scale;
      weights[into0 + SCORE_ACROSS / 4u][scoreAcross % 4u] = score01 * scale;
      weights[into1][scoreAcross % 4u] = score10 * scale;
      weights[into1 + SCORE_ACROSS / 4u][scoreAcross % 4u] = score11 * scale;
      workgroupBarrier();

      // The values take the keys' place.
      for (var i = lane; i < KEYS * eighth; i += LANES) {
        let k = min(i / eighth, span.length - 1u - first);
        var value = valueOctet((place + k) * eighth + i % eighth);
        // Some queries weigh it by 0, and 0 * NaN is NaN.
        if (first + KEYS > span.seenByAll && !isFinite(value)) {
          atomicMin(&spoilt, first + k);
          value = Octet(vec4f(0.0), vec4f(0.0));
        }
        let at = i / eighth * TILE_STRIDE + 2u * (i % eighth);
        tile[at] = value.low;
        tile[at + 1u] = value.high;
      }
      var larger = largest;
      var mine = vec4f(0.0);
      for (var p = 0u; p < PARTS; p++) {
        let four = weights[softmaxRow * WEIGHTS_STRIDE + p];
        let isSeen = vec4u(first + 4u * p) + vec4u(0u, 1u, 2u, 3u) < vec4u(visible);
        let seen = select(vec4f(LOWEST), four, isSeen);
        larger = max(larger, max(max(seen.x, seen.y), max(seen.z, seen.w)));
        mine = select(mine, four, p == part);
      }
      let isSeen = vec4u(first + 4u * part) + vec4u(0u, 1u, 2u, 3u) < vec4u(visible);
      mine = select(vec4f(0.0), exp(mine - larger), isSeen);
      // exp(0) need not be 1 to the bit.
      let shrink = select(exp(largest - larger), 1.0, largest == larger);
      largest = larger;
      denominator = denominator * shrink + (mine.x + mine.y) + (mine.z + mine.w);
      workgroupBarrier();
      weights[softmaxRow * WEIGHTS_STRIDE + part] = mine;
      if (part == 0u) {
        rowFactors[softmaxRow] = shrink;
      }
      workgroupBarrier();

      for (var r = 0u; r < 4u; r++) {
        let factor = rowFactors[down + r * SUM_SIDE];
        sums0[r] *= factor;
        sums1[r] *= factor;
      }
      for (var k = 0u; k < KEYS; k += 4u) {
        var w: array<vec4f, 4>; // [query], a component per position
        for (var r = 0u; r < 4u; r++) {
          w[r] = weights[(down + r * SUM_SIDE) * WEIGHTS_STRIDE + k / 4u];
        }
        for (var j = 0u; j < 4u; j++) {
          let value = tile[(k + j) * TILE_STRIDE + column0];
          for (var r = 0u; r < 4u; r++) {
            sums0[r] += w[r][j] * value;
          }
        }
        if (quarter > SUM_SIDE) {
          for (var j = 0u; j < 4u; j++) {
            let value = tile[(k + j) * TILE_STRIDE + column1];
            for (var r = 0u; r < 4u; r++) {
              sums1[r] += w[r][j] * value;
            }
          }
        }
      }
      workgroupBarrier();
    }
    if (visible > atomicLoad(&spoilt)) {
      denominator = bitcast<f32>(bitcast<u32>(denominator) | 0x7fc00000u); // NaN
    }
    workgroupBarrier();
    start = span.end;
  }

  rowFactors[lane] = denominator;
  workgroupBarrier();
  for (var r = 0u; r < 4u; r++) {
    let row = down + r * SUM_SIDE;
    let at = row * PARTS;
    let sum = (rowFactors[at] + rowFactors[at + 1u]) + (rowFactors[at + 2u] + rowFactors[at + 3u]);
    if (row < count) {
      let t = (firstQuery + row) / GROUP;
      let head = workgroup.x * GROUP + (firstQuery + row) % GROUP;
      let into = (t * HEADS + head) * quarter;
      if (across < quarter) {
        y[into + column0] = sums0[r] / sum;
      }
      if (across + SUM_SIDE < quarter) {
        y[into + column1] = sums1[r] / sum;
      }
    }
  }
}
