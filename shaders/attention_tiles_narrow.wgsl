// As attention_tiles.wgsl, for subgroups of 8 lanes: the vector units of a processor, where neighbours gain nothing by reading
// neighbouring bytes and a barrier costs what hundreds of instructions do.
// Links with heads.wgsl, rows.wgsl, pages.wgsl, an octet_*.wgsl and queries.wgsl. Grid: KV_HEADS x ceil(T * GROUP / ROWS) workgroups of one subgroup, each
// ROWS queries: of a token all that read the same keys, then the next token's. For scores a lane has keys of its own, for sums
// columns, and for what there is one of a query, a query; what another lane has is handed round.
enable subgroups;
// Loops end together for all lanes of a subgroup, which the compiler's analysis does not see.
diagnostic(off, subgroup_uniformity);

const LANES = 8u;
const ROWS = 8u;        // queries of a workgroup
const KEYS = 16u;       // positions at a time, which are of one page: of scores a lane has two
const LOWEST = -3.0e38; // below every score, and far enough from the end of f32 to subtract from

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let firstQuery = workgroup.y * ROWS;
  let total = rows.count * GROUP;
  if (firstQuery >= total) {
    return;
  }
  let count = min(ROWS, total - firstQuery); // queries of this workgroup that are of tokens
  let eighth = HEAD_DIM / 8u; // a head's row, in octets
  // That there are rows the compiler does not know: else it unrolls what eight octets take, for half a minute.
  let octets = select(0u, eighth, total > 0u);
  let cacheHead = workgroup.x * CACHED;
  let scale = inverseSqrt(f32(HEAD_DIM));

  // Of the lane's query; queries past the end repeat the last one.
  let ownQuery = min(firstQuery + lane, total - 1u);
  let ownRow = rows.row[ownQuery / GROUP];
  let query = queryStart(workgroup.x, ownQuery);
  var largest = LOWEST;
  var denominator = 0.0;
  // Of all queries, the lane's columns: an octet, and where there are more than lanes, another one.
  let column0 = min(lane, eighth - 1u);
  let column1 = min(lane + LANES, eighth - 1u);
  var low0: array<vec4f, ROWS>;
  var high0: array<vec4f, ROWS>;
  var low1: array<vec4f, ROWS>;
  var high1: array<vec4f, ROWS>;

  for (var start = 0u; start < count;) {
    let span = spanOf(firstQuery, start, count);
    let visible = select(0u, ownRow.position + 1u, lane >= start && lane < span.end); // positions of this sequence
    var spoilt = CONTEXT; // the first position whose value is no number, of those that not all queries see
    for (var first = 0u; first < span.length; first += KEYS) {
      let place = cacheHead + placeOf(span.sequence, first);
      // Past the last token lanes repeat it: what else is in the cache may be NaN.
      let most = span.length - 1u - first;
      let key0 = (place + min(lane, most)) * eighth;
      let key1 = (place + min(lane + LANES, most)) * eighth;
      var scores0 = array<f32, ROWS>();
      var scores1 = array<f32, ROWS>();
      for (var i = 0u; i < octets; i++) {
        let a = keyOctet(key0 + i);
        let b = keyOctet(key1 + i);
        let queryLow = qkv[query + 2u * i];
        let queryHigh = qkv[query + 2u * i + 1u];
        for (var r = 0u; r < ROWS; r++) {
          let low = subgroupShuffle(queryLow, r);
          let high = subgroupShuffle(queryHigh, r);
          scores0[r] += dot(low, a.low) + dot(high, a.high);
          scores1[r] += dot(low, b.low) + dot(high, b.high);
        }
      }
      var maxima: array<f32, ROWS>;
      for (var r = 0u; r < ROWS; r++) {
        let seen = subgroupShuffle(visible, r);
        scores0[r] = select(LOWEST, scores0[r] * scale, first + lane < seen);
        scores1[r] = select(LOWEST, scores1[r] * scale, first + lane + LANES < seen);
        maxima[r] = max(scores0[r], scores1[r]);
      }
      let larger = max(largest, maxOfRow(maxima, lane));
      // exp(0) need not be 1 to the bit.
      let shrink = select(exp(largest - larger), 1.0, largest == larger);
      largest = larger;
      var totals: array<f32, ROWS>;
      for (var r = 0u; r < ROWS; r++) {
        let top = subgroupShuffle(larger, r);
        let seen = subgroupShuffle(visible, r);
        scores0[r] = select(0.0, exp(scores0[r] - top), first + lane < seen);
        scores1[r] = select(0.0, exp(scores1[r] - top), first + lane + LANES < seen);
        totals[r] = scores0[r] + scores1[r];
        let factor = subgroupShuffle(shrink, r);
        low0[r] *= factor;
        high0[r] *= factor;
        low1[r] *= factor;
        high1[r] *= factor;
      }
      denominator = denominator * shrink + sumOfRow(totals, lane);

      for (var k = 0u; k < KEYS; k += 4u) {
        let at0 = (place + min(k, most)) * eighth;
        let at1 = (place + min(k + 1u, most)) * eighth;
        let at2 = (place + min(k + 2u, most)) * eighth;
        let at3 = (place + min(k + 3u, most)) * eighth;
        var v0 = valueOctet(at0 + column0);
        var v1 = valueOctet(at1 + column0);
        var v2 = valueOctet(at2 + column0);
        var v3 = valueOctet(at3 + column0);
        if (first + KEYS > span.seenByAll) { // some queries weigh them by 0, and 0 * NaN is NaN
          spoilt = min(spoilt, first + k + firstSpoilt(v0, v1, v2, v3));
          v0 = finite(v0);
          v1 = finite(v1);
          v2 = finite(v2);
          v3 = finite(v3);
        }
        var w: array<vec4f, ROWS>;
        for (var r = 0u; r < ROWS; r++) {
          let weight = select(scores0[r], scores1[r], k >= LANES);
          w[r] = vec4f(
            subgroupShuffle(weight, k % LANES),
            subgroupShuffle(weight, k % LANES + 1u),
            subgroupShuffle(weight, k % LANES + 2u),
            subgroupShuffle(weight, k % LANES + 3u),
          );
        }
        for (var r = 0u; r < ROWS; r++) {
          low0[r] += w[r].x * v0.low + w[r].y * v1.low + w[r].z * v2.low + w[r].w * v3.low;
          high0[r] += w[r].x * v0.high + w[r].y * v1.high + w[r].z * v2.high + w[r].w * v3.high;
        }
        if (eighth > LANES) {
          v0 = valueOctet(at0 + column1);
          v1 = valueOctet(at1 + column1);
          v2 = valueOctet(at2 + column1);
          v3 = valueOctet(at3 + column1);
          if (first + KEYS > span.seenByAll) {
            spoilt = min(spoilt, first + k + firstSpoilt(v0, v1, v2, v3));
            v0 = finite(v0);
            v1 = finite(v1);
            v2 = finite(v2);
            v3 = finite(v3);
          }
          for (var r = 0u; r < ROWS; r++) {
            low1[r] += w[r].x * v0.low + w[r].y * v1.low + w[r].z * v2.low + w[r].w * v3.low;
            high1[r] += w[r].x * v0.high + w[r].y * v1.high + w[r].z * v2.high + w[r].w * v3.high;
          }
        }
      }
    }
    if (visible > subgroupMin(spoilt)) {
      denominator = bitcast<f32>(bitcast<u32>(denominator) | 0x7fc00000u); // NaN
    }
    start = span.end;
  }

  for (var r = 0u; r < ROWS; r++) {
    let sum = subgroupShuffle(denominator, r);
    if (r < count) {
      let t = (firstQuery + r) / GROUP;
      let head = workgroup.x * GROUP + (firstQuery + r) % GROUP;
      let into = (t * HEADS + head) * 2u * eighth;
      if (lane < eighth) {
        y[into + 2u * column0] = low0[r] / sum;
        y[into + 2u * column0 + 1u] = high0[r] / sum;
      }
      if (lane + LANES < eighth) {
        y[into + 2u * column1] = low1[r] / sum;
        y[into + 2u * column1 + 1u] = high1[r] / sum;
      }
    }
  }
}

// Of a number for each query, which every lane has one of: lane r gets the largest of query r's.
fn maxOfRow(own: array<f32, ROWS>, lane: u32) -> f32 {
  let low = vec4f(own[0], own[1], own[2], own[3]);
  let high = vec4f(own[4], own[5], own[6], own[7]);
  let four = max(select(low, high, lane >= 4u), subgroupShuffleXor(select(high, low, lane >= 4u), 4u));
  let two = max(
    select(four.xy, four.zw, (lane & 2u) != 0u),
    subgroupShuffleXor(select(four.zw, four.xy, (lane & 2u) != 0u), 2u),
  );
  return max(select(two.x, two.y, (lane & 1u) != 0u), subgroupShuffleXor(select(two.y, two.x, (lane & 1u) != 0u), 1u));
}

fn sumOfRow(own: array<f32, ROWS>, lane: u32) -> f32 {
  let low = vec4f(own[0], own[1], own[2], own[3]);
  let high = vec4f(own[4], own[5], own[6], own[7]);
  let four = select(low, high, lane >= 4u) + subgroupShuffleXor(select(high, low, lane >= 4u), 4u);
  let two = select(four.xy, four.zw, (lane & 2u) != 0u) +
    subgroupShuffleXor(select(four.zw, four.xy, (lane & 2u) != 0u), 2u);
  return select(two.x, two.y, (lane & 1u) != 0u) + subgroupShuffleXor(select(two.y, two.x, (lane & 1u) != 0u), 1u);
}

fn finite(octet: Octet) -> Octet {
  let isWanted = isFinite(octet);
  return Octet(select(vec4f(0.0), octet.low, isWanted), select(vec4f(0.0), octet.high, isWanted));
}

fn firstSpoilt(v0: Octet, v1: Octet, v2: Octet, v3: Octet) -> u32 {
  let later = select(select(CONTEXT, 3u, !isFinite(v3)), 2u, !isFinite(v2));
  return select(select(later, 1u, !isFinite(v1)), 0u, !isFinite(v0));
}
