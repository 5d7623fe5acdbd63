// The rows of the next pass: of each row, all of which are drawn from, the candidate that is drawn after it in its sequence, where
// best[d] are the 64 largest logits: see topk.wgsl. If the largest is no finite number, that one is chosen, for the host to see.
// Everything is in integers, so that every adapter draws the same token from the same logits, and so does the host:
// src/kernels/sample.ts has the same steps and their bounds.
// Links with pages.wgsl and next_row.wgsl. Grid: a workgroup of 64 lanes for each d-th row.
struct Best {
  ids: array<u32, K>,
  logits: array<u32, K>, // the bits of f32
}

struct Settings {
  inverse: u32,  // log2(e) / temperature, the bits of f32
  count: u32,    // candidates that may come: top_k
  dropped: u32,  // 1 - top_p, in 2^-32
  least: u32,    // min_p, as weights are
  seedLow: u32,
  seedHigh: u32,
  origin: u32,   // position of the row whose draw is number 0
  padding: u32,
}

@group(0) @binding(0) var<storage, read> best: array<Best>; // [MOST_DRAWN]
@group(0) @binding(1) var<storage, read> settings: array<Settings>; // [MOST_DRAWN]

const K = 64u;
const LN2 = 2977044472u; // ln 2 in 2^-32

var<workgroup> weights: array<u32, K>;

// The upper word of the product.
fn multiplyHigh(a: u32, b: u32) -> u32 {
  let low = (a & 0xffffu) * (b & 0xffffu);
  let first = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
  let second = (a & 0xffffu) * (b >> 16u) + (first & 0xffffu);
  return (a >> 16u) * (b >> 16u) + (first >> 16u) + (second >> 16u);
}

// 2^-y in 2^-25, where y = distance * inverse, both the bits of f32 that are no less than 0.
fn weightOf(distance: u32, inverse: u32) -> u32 {
  let exponent = i32(distance >> 23u) + i32(inverse >> 23u) - 254;
  // The product of two mantissas in [1, 2), in 2^-31 each: its upper word is in 2^-30. y is in 2^-24.
  let product = multiplyHigh((distance << 8u) | 0x80000000u, (inverse << 8u) | 0x80000000u);
  if (distance < 0x00800000u || exponent < -25) {
    return 1u << 25u;
  }
  if (exponent >= 5) {
    return 0u;
  }
  let y = product >> u32(6 - exponent);
  if ((y >> 24u) > 25u) {
    return 0u;
  }
  let x = multiplyHigh(y << 8u, LN2); // the fraction's, in 2^-32
  var power = 0x80000000u;            // exp(-x) in 2^-31, by Horner's rule
  for (var k = 11u; k > 0u; k--) {
    power = 0x80000000u - multiplyHigh(x, power) / k;
  }
  return (power >> 6u) >> (y >> 24u);
}

fn advanced(word: u32) -> u32 {
  return word * 1664525u + 1013904223u;
}

// The upper 32 bits of the number that src/generate/random.ts draws: pcg3d of Jarzynski and Olano (2020).
fn uniform(d: u32, counter: u32) -> u32 {
  var v = vec3u(advanced(settings[d].seedLow), advanced(settings[d].seedHigh), advanced(counter));
  v.x += v.y * v.z;
  v.y += v.z * v.x;
  v.z += v.x * v.y;
  v ^= v >> vec3u(16u);
  v.x += v.y * v.z;
  v.y += v.z * v.x;
  return (v.x & 0xffffffe0u) | (v.y >> 27u);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let d = workgroup.x;
  let largest = best[d].logits[0];
  // What is no finite number has no weight; the host is told by the largest.
  let logit = best[d].logits[lane];
  let distance = bitcast<u32>(bitcast<f32>(largest) - bitcast<f32>(logit));
  weights[lane] = select(0u, weightOf(distance, settings[d].inverse), lane < settings[d].count && logit != 0xff800000u);
  workgroupBarrier();
  if (lane != 0u || d >= rows[1]) {
    return;
  }
  if ((largest & 0x7f800000u) == 0x7f800000u) {
    goOn(d, best[d].ids[0], largest);
    return;
  }
  var total = 0u;
  for (var i = 0u; i < K; i++) {
    total += weights[i];
  }
  // top_p: from the smallest up, those whose sum does not exceed what is dropped go.
  let dropped = multiplyHigh(settings[d].dropped, total);
  var count = K;
  var tail = 0u;
  while (count > 1u && tail + weights[count - 1u] <= dropped) {
    count--;
    tail += weights[count];
  }
  while (count > 1u && weights[count - 1u] < settings[d].least) {
    count--;
    tail += weights[count];
  }
  let position = rows[HEADER + 4u * d + 1u] - settings[d].origin;
  let drawn = multiplyHigh(uniform(d, position), total - tail);
  var chosen = 0u;
  var sum = weights[0];
  while (sum <= drawn && chosen + 1u < count) {
    chosen++;
    sum += weights[chosen];
  }
  goOn(d, best[d].ids[chosen], best[d].logits[chosen]);
}
