// As attention_tiles.wgsl, by matrices that a subgroup multiplies: queries, keys, weights and values are rounded to halves,
// scores and sums are f32, and so is the softmax between them.
// Links with rows.wgsl, pages.wgsl, an octet_*.wgsl and matrices.wgsl. Grid: KV_HEADS x ceil(T * GROUP / ROWS) workgroups of
// 256 lanes, each 4 * M queries: of a token all that read the same keys, then the next token's. A subgroup has a block of
// M queries, of whatever size subgroups are: those that find none only fill tiles and take exponentials, and where they are
// fewer than the blocks, all of it is done again. A query's weights are 2^(score - reference), where the reference stays
// until a score is 2^15 times what it stands for: sums in matrices have to be multiplied by way of workgroup memory, and seldom
// are. 15.6 KB of it at most.
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;

override HEADS: u32;
override KV_HEADS: u32;
override HEAD_DIM: u32; // a multiple of K and of N, at most 128
override CONTEXT: u32;  // positions that a sequence may have
override CACHED: u32;   // positions that the cache has, of all sequences
override GROUP = HEADS / KV_HEADS; // queries of a token that read the same keys

@group(0) @binding(0) var<storage, read> qkv: array<vec4f>;     // [T, (HEADS + 2 * KV_HEADS) * HEAD_DIM / 4]
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>; // [T, HEADS * HEAD_DIM / 4]

const LANES = 256u;
const BLOCKS = 4u;
const ROWS = BLOCKS * M; // queries of a workgroup
const KEYS = 32u;           // positions of a tile
const ACROSS = KEYS / N;    // matrices of scores beside each other
const MOST_LEFT = 128u / K; // matrices of a head's columns, of queries
const MOST_SUMS = 128u / N; // and of sums
const AREA = M * N;
const PARTS = LANES / ROWS;      // lanes that take the exponentials of a query
const FOURS = KEYS / PARTS / 4u; // vec4 of them that each takes
const LOWEST = -3.0e38;          // below every score, and far enough from the end of f32 to subtract from
override SCALE = inverseSqrt(f32(HEAD_DIM)) * 1.4426950408889634; // log2(e) / sqrt(HEAD_DIM)
// Weights are at most 2^8 when a reference is set and 2^15 as long as it stays: halves hold 2^15, and of what is 2^-22 of
// the largest all bits.
const HEADROOM = 8.0;
const SLACK = 15.0;

// Strides have one of padding, so that rows start in different banks.
const SLICE = 8u;                            // octets of the queries that are brought at a time
const SLICE_STRIDE = SLICE + 1u;
const SCORES_STRIDE = KEYS / 4u + 1u;        // vec4
const WEIGHTS_STRIDE = KEYS / 4u + 2u;       // of four halves
override KEYS_STRIDE = HEAD_DIM / 8u + 1u;   // of eight
const VALUES_STRIDE = KEYS / 8u + 1u;        // likewise: values stand [column, position], as matrices are read quickest
// Queries, keys, scores, values, each in the place of those before; in the end the sums of a matrix of each block, as f32.
var<workgroup> tile: array<vec4u, 128u * VALUES_STRIDE>;
var<workgroup> weights: array<vec2u, ROWS * WEIGHTS_STRIDE>; // in the end the denominators
var<workgroup> rowFactors: array<f32, ROWS>; // what a query's sums are multiplied by
var<workgroup> raised: atomic<u32>;           // whether a reference has to be raised
var<workgroup> spoilt: atomic<u32>; // the first position whose value is no number, of those that not all queries see

fn halves(low: vec4f, high: vec4f) -> vec4u {
  return vec4u(bitcast<vec2u>(vec4<f16>(low)), bitcast<vec2u>(vec4<f16>(high)));
}

// Whether halves hold eight values: what is not below 65520 rounds to none, and WGSL leaves open to what.
fn areHalves(low: vec4f, high: vec4f) -> bool {
  // These bits rise with the magnitude, and those of NaN and infinity are the highest.
  let bits = max(bitcast<vec4u>(low) & vec4u(0x7fffffffu), bitcast<vec4u>(high) & vec4u(0x7fffffffu));
  return max(max(bits.x, bits.y), max(bits.z, bits.w)) < 0x477ff000u; // the bits of 65520
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(num_subgroups) subgroups: u32,
) {
  let firstQuery = workgroup.y * ROWS;
  let total = rows.count * GROUP;
  if (firstQuery >= total) {
    return;
  }
  let count = min(ROWS, total - firstQuery); // queries of this workgroup that are of tokens
  let eighth = HEAD_DIM / 8u; // a head's row, in octets
  let cacheHead = workgroup.x * CACHED;
  let moved = select(0u, MOST_SUMS, total > 0u); // all sums. The compiler is not to know: it would unroll what seldom runs.
  let softmaxRow = lane / PARTS;
  let part = lane % PARTS;
  let scores = softmaxRow * SCORES_STRIDE; // where softmaxRow's begin

  for (var firstBlock = 0u; firstBlock < BLOCKS; firstBlock += subgroups) {
    let block = firstBlock + subgroup;
    // Queries past the end repeat the last one.
    var queries: array<Left, MOST_LEFT>;
    for (var c = 0u; c < MOST_LEFT; c++) {
      if (c % (SLICE * 8u / K) == 0u) {
        workgroupBarrier();
        for (var i = lane; i < ROWS * SLICE; i += LANES) {
          let octet = min(c * K / 8u + i % SLICE, eighth - 1u);
          let at = queryStart(workgroup.x, min(firstQuery + i / SLICE, total - 1u)) + 2u * octet;
          let low = qkv[at] * SCALE;
          let high = qkv[at + 1u] * SCALE;
          // What went wrong has to show in the logits.
          let nan = vec4u(select(0x7e00u, 0u, areHalves(low, high)), 0u, 0u, 0u);
          tile[i / SLICE * SLICE_STRIDE + i % SLICE] = halves(low, high) | nan;
        }
        workgroupBarrier();
      }
      // An index that is no constant would keep them out of registers: a new one comes to the end.
      for (var next = 1u; next < MOST_LEFT; next++) {
        queries[next - 1u] = queries[next];
      }
      if (block < BLOCKS && c * K < HEAD_DIM) {
        let at = block * M * SLICE_STRIDE + c * K / 8u % SLICE;
        queries[MOST_LEFT - 1u] = subgroupMatrixLoad<Left, row_major>(&tile, at, SLICE_STRIDE);
      }
    }
    var reference = LOWEST; // of softmaxRow
    var denominator = 0.0;  // of softmaxRow, over this lane's part of the positions
    var sums = array<Sums, MOST_SUMS>();

    for (var start = 0u; start < count;) {
      // Of the queries from start to end, which are of one sequence.
      let sequence = rows.row[(firstQuery + start) / GROUP].sequence;
      var end = count;
      while (rows.row[(firstQuery + end - 1u) / GROUP].sequence != sequence) {
        end--;
      }
      let seenByAll = select(0u, rows.row[firstQuery / GROUP].position + 1u, end - start == count);
      let length = min(rows.row[(firstQuery + end - 1u) / GROUP].position + 1u, CONTEXT);
      // How many positions softmaxRow sees of this sequence.
      var visible = 0u;
      if (softmaxRow >= start && softmaxRow < end) {
        visible = rows.row[(firstQuery + softmaxRow) / GROUP].position + 1u;
      }
      if (lane == 0u) {
        atomicStore(&spoilt, CONTEXT);
        atomicStore(&raised, 0u);
      }
      for (var first = 0u; first < length; first += KEYS) {
        // The tile has what it had before this barrier in use.
        workgroupBarrier();
        for (var i = lane; i < KEYS * eighth; i += LANES) {
          // Past the last token the tiles repeat it: what else is in the cache may be NaN.
          let position = min(first + i / eighth, length - 1u);
          let key = keyOctet((cacheHead + placeOf(sequence, position)) * eighth + i % eighth);
          tile[i / eighth * KEYS_STRIDE + i % eighth] = halves(key.low, key.high);
        }
        workgroupBarrier();
        var products = array<Sums, ACROSS>();
        if (block < BLOCKS) {
          for (var c = 0u; c < MOST_LEFT; c++) {
            if (c * K < HEAD_DIM) {
              for (var j = 0u; j < ACROSS; j++) {
                let right = subgroupMatrixLoad<Right, col_major>(&tile, j * N * KEYS_STRIDE + c * K / 8u, KEYS_STRIDE);
                products[j] = subgroupMatrixMultiplyAccumulate(queries[c], right, products[j]);
              }
            }
          }
        }
        workgroupBarrier();
        if (block < BLOCKS) {
          for (var j = 0u; j < ACROSS; j++) {
            let at = block * M * SCORES_STRIDE + j * N / 4u;
            subgroupMatrixStore<row_major>(&tile, at, products[j], SCORES_STRIDE);
          }
        }
        workgroupBarrier();

        var own: array<vec4f, FOURS>;
        var largest = LOWEST;
        for (var i = 0u; i < FOURS; i++) {
          own[i] = bitcast<vec4f>(tile[scores + part * FOURS + i]);
          largest = max(largest, largestSeen(own[i], first + 4u * (part * FOURS + i), visible));
        }
        if (largest > reference + SLACK) {
          atomicStore(&raised, 1u);
        }
        if (workgroupUniformLoad(&raised) != 0u) {
          for (var i = 0u; i < KEYS / 4u; i++) {
            largest = max(largest, largestSeen(bitcast<vec4f>(tile[scores + i]), first + 4u * i, visible));
          }
          var factor = 1.0;
          if (largest > reference + SLACK) {
            // Whole numbers, so that sums are multiplied by a power of two: to the bit.
            let higher = ceil(largest) - HEADROOM;
            factor = select(ldexp(1.0, i32(max(reference - higher, -120.0))), 0.0, reference == LOWEST);
            reference = higher;
          }
          denominator *= factor;
          if (part == 0u) {
            rowFactors[softmaxRow] = factor;
          }
          if (lane == 0u) {
            atomicStore(&raised, 0u);
          }
          workgroupBarrier();
          for (var c = 0u; c < moved; c++) {
            if (block < BLOCKS) {
              subgroupMatrixStore<row_major>(&tile, block * AREA / 4u, sums[0], N / 4u);
              // Likewise: the next one comes to the front.
              for (var next = 1u; next < MOST_SUMS; next++) {
                sums[next - 1u] = sums[next];
              }
            }
            workgroupBarrier();
            for (var i = lane; i < BLOCKS * AREA / 4u; i += LANES) {
              tile[i] = bitcast<vec4u>(bitcast<vec4f>(tile[i]) * rowFactors[4u * i / N]);
            }
            workgroupBarrier();
            if (block < BLOCKS) {
              sums[MOST_SUMS - 1u] = subgroupMatrixLoad<Sums, row_major>(&tile, block * AREA / 4u, N / 4u);
            }
          }
          workgroupBarrier();
        }

        for (var i = 0u; i < FOURS; i++) {
          let four = part * FOURS + i;
          let isSeen = vec4u(first + 4u * four) + vec4u(0u, 1u, 2u, 3u) < vec4u(visible);
          let weight = select(vec4f(0.0), exp2(own[i] - reference), isSeen);
          weights[softmaxRow * WEIGHTS_STRIDE + four] = bitcast<vec2u>(vec4<f16>(weight));
        }
        for (var i = lane; i < KEYS / 2u * eighth; i += LANES) {
          let k = i % (KEYS / 2u);
          let octet = i / (KEYS / 2u);
          let position0 = min(first + 2u * k, length - 1u);
          let position1 = min(first + 2u * k + 1u, length - 1u);
          var value0 = valueOctet((cacheHead + placeOf(sequence, position0)) * eighth + octet);
          var value1 = valueOctet((cacheHead + placeOf(sequence, position1)) * eighth + octet);
          // Some queries weigh them by 0, and 0 * NaN is NaN.
          if (first + KEYS > seenByAll) {
            if (!areHalves(value0.low, value0.high)) {
              atomicMin(&spoilt, position0);
              value0 = Octet(vec4f(0.0), vec4f(0.0));
            }
            if (!areHalves(value1.low, value1.high)) {
              atomicMin(&spoilt, position1);
              value1 = Octet(vec4f(0.0), vec4f(0.0));
            }
          }
          for (var j = 0u; j < 4u; j++) {
            let at = (8u * octet + j) * VALUES_STRIDE + k / 4u;
            tile[at][k % 4u] = bitcast<u32>(vec2<f16>(vec2f(value0.low[j], value1.low[j])));
            tile[at + 4u * VALUES_STRIDE][k % 4u] = bitcast<u32>(vec2<f16>(vec2f(value0.high[j], value1.high[j])));
          }
        }
        workgroupBarrier();
        for (var i = 0u; i < FOURS; i++) {
          // As they are rounded: read back, since compilers take a half that was made of an f32 for that.
          let four = weights[softmaxRow * WEIGHTS_STRIDE + part * FOURS + i];
          let pairs = unpack2x16float(four.x) + unpack2x16float(four.y);
          denominator += pairs.x + pairs.y;
        }
        if (block < BLOCKS) {
          for (var j = 0u; j < KEYS / K; j++) {
            let left = subgroupMatrixLoad<Left, row_major>(&weights, block * M * WEIGHTS_STRIDE + j * K / 4u, WEIGHTS_STRIDE);
            for (var c = 0u; c < MOST_SUMS; c++) {
              if (c * N < HEAD_DIM) {
                let right = subgroupMatrixLoad<Right, col_major>(&tile, c * N * VALUES_STRIDE + j * K / 8u, VALUES_STRIDE);
                sums[c] = subgroupMatrixMultiplyAccumulate(left, right, sums[c]);
              }
            }
          }
        }
      }
      if (visible > atomicLoad(&spoilt)) {
        denominator = bitcast<f32>(bitcast<u32>(denominator) | 0x7fc00000u); // NaN
      }
      workgroupBarrier();
      start = end;
    }

    weights[lane].x = bitcast<u32>(denominator);
    for (var c = 0u; c < HEAD_DIM / N; c++) {
      workgroupBarrier();
      if (block < BLOCKS) {
        subgroupMatrixStore<row_major>(&tile, block * AREA / 4u, sums[0], N / 4u);
        for (var next = 1u; next < MOST_SUMS; next++) {
          sums[next - 1u] = sums[next];
        }
      }
      workgroupBarrier();
      for (var i = lane; i < min(subgroups, BLOCKS - firstBlock) * AREA / 4u; i += LANES) {
        let row = firstBlock * M + 4u * i / N;
        if (row < count) {
          var sum = 0.0;
          for (var p = 0u; p < PARTS; p++) {
            sum += bitcast<f32>(weights[row * PARTS + p].x);
          }
          let t = (firstQuery + row) / GROUP;
          let head = workgroup.x * GROUP + (firstQuery + row) % GROUP;
          let into = ((t * HEADS + head) * HEAD_DIM + c * N) / 4u + i % (N / 4u);
          y[into] = bitcast<vec4f>(tile[firstBlock * AREA / 4u + i]) / sum;
        }
      }
    }
  }
}

// Where a query begins in qkv, by its number among those that read the same keys.
fn queryStart(kvHead: u32, query: u32) -> u32 {
  return ((query / GROUP) * (HEADS + 2u * KV_HEADS) + kvHead * GROUP + query % GROUP) * (HEAD_DIM / 4u);
}

// The largest of four scores, from a position on, among the positions that are seen.
fn largestSeen(four: vec4f, position: u32, visible: u32) -> f32 {
  let seen = select(vec4f(LOWEST), four, vec4u(position) + vec4u(0u, 1u, 2u, 3u) < vec4u(visible));
  return max(max(seen.x, seen.y), max(seen.z, seen.w));
}
