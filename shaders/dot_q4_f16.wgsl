// Part: 64 weights of a row of four bits times 64 activations as halves. Links with input_f16.wgsl; exports the same names as
// dot_q4_i8.wgsl.
@group(0) @binding(1) var<storage, read> weight: array<vec4u>; // [rows, COLUMNS / 32], a vec4u a group
@group(0) @binding(2) var<storage, read> scales: array<vec4u>; // [rows, super-blocks of 256 columns]

override SUPERBLOCKS = (COLUMNS + 255u) / 256u;

// Where a row's words and scales begin.
fn rowStart(row: u32) -> vec2u {
  return vec2u(row * (COLUMNS / 32u), row * SUPERBLOCKS);
}

// q - 8 of a word's low nibbles in bytes 0 and 2. A nibble in the lowest bits of 1024 makes 1024 + q, exactly.
fn low(word: u32) -> vec2<f16> {
  return bitcast<vec2<f16>>((word & 0x000f000fu) | 0x64006400u) - 1032.0h;
}

// 16 * (q - 8) of its high nibbles.
fn high(word: u32) -> vec2<f16> {
  return bitcast<vec2<f16>>((word & 0x00f000f0u) | 0x64006400u) - 1152.0h;
}

struct Sums {
  low: vec2<f16>,
  high: vec2<f16>,
}

fn dotWord(word: u32, x: vec4u, sums: Sums) -> Sums {
  let odd = word >> 8u;
  return Sums(
    fma(low(odd), bitcast<vec2<f16>>(x.y), fma(low(word), bitcast<vec2<f16>>(x.x), sums.low)),
    fma(high(odd), bitcast<vec2<f16>>(x.w), fma(high(word), bitcast<vec2<f16>>(x.z), sums.high)),
  );
}

// The sum of (q - 8) * h over a group. Eight products are added as halves: at most 8 * 128 * 32, which is one.
fn dotGroup(words: vec4u, x: array<vec4u, 4>) -> f32 {
  var sums = Sums();
  sums = dotWord(words.x, x[0], sums);
  sums = dotWord(words.y, x[1], sums);
  sums = dotWord(words.z, x[2], sums);
  sums = dotWord(words.w, x[3], sums);
  let lows = vec2f(sums.low);
  let highs = vec2f(sums.high);
  return fma(highs.x + highs.y, 0.0625, lows.x + lows.y);
}

// The row's columns 64 * pair to 64 * pair + 63 times each step's. Groups past the last column have the scale and minimum
// 0, whatever their words are.
fn dotPair(start: vec2u, pair: u32, steps: Steps) -> Dots {
  let block = scales[start.y + pair / 4u];
  let d = unpack2x16float(block.x);
  // Of each word the byte that is the pair's: six bits of scale, minimum and scale, and three times two of a minimum.
  let codes = block.yzw >> vec3u(8u * (pair % 4u));
  let a = weight[start.x + 2u * pair];
  let b = weight[start.x + 2u * pair + 1u];
  let minimum = ((codes.x >> 6u) & 3u) | ((codes.y >> 4u) & 12u) | ((codes.z >> 2u) & 48u);
  var dots: Dots;
  for (var t = 0u; t < TOKENS; t++) {
    let step = steps[t];
    let first = f32(codes.x & 63u) * fma(step.sums.x, dotGroup(a, step.first), 8.0 * step.sums.y);
    let second = f32(codes.z & 63u) * fma(step.sums.z, dotGroup(b, step.second), 8.0 * step.sums.w);
    dots[t] = d.x * (first + second) - d.y * (f32(codes.y & 63u) * step.sums.y + f32(minimum) * step.sums.w);
  }
  return dots;
}
