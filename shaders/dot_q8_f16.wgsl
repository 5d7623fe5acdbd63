// Part: 64 weights of a row of eight bits times 64 activations as halves. Links with input_f16.wgsl; exports the same names as
// dot_q4_i8.wgsl.
@group(0) @binding(1) var<storage, read> weight: array<vec4u>; // [rows, COLUMNS / 16]
@group(0) @binding(2) var<storage, read> scales: array<u32>;   // [rows, PAIRS], two f16 each

// Where a row's words and scales begin.
fn rowStart(row: u32) -> vec2u {
  return vec2u(row * (COLUMNS / 16u), row * PAIRS);
}

// q of a word's bytes 0 and 2. q + 128 in the lowest bits of 1024 makes 1152 + q, exactly.
fn bytes(word: u32) -> vec2<f16> {
  return bitcast<vec2<f16>>((word & 0x00ff00ffu) | 0x64006400u) - 1152.0h;
}

// Eight weights of two words times eight activations. Eight products are added as halves, those
// of two calls: at most 8 * 127 * 32, which is one.
fn dotWords(first: u32, second: u32, x: vec4u, sum: vec2<f16>) -> vec2<f16> {
  let a = first ^ 0x80808080u;
  let b = second ^ 0x80808080u;
  let four = fma(bytes(a >> 8u), bitcast<vec2<f16>>(x.y), fma(bytes(a), bitcast<vec2<f16>>(x.x), sum));
  return fma(bytes(b >> 8u), bitcast<vec2<f16>>(x.w), fma(bytes(b), bitcast<vec2<f16>>(x.z), four));
}

fn dotGroup(a: vec4u, b: vec4u, x: array<vec4u, 4>) -> f32 {
  let first = vec2f(dotWords(a.z, a.w, x[1], dotWords(a.x, a.y, x[0], vec2(0.0h))));
  let second = vec2f(dotWords(b.z, b.w, x[3], dotWords(b.x, b.y, x[2], vec2(0.0h))));
  return (first.x + first.y) + (second.x + second.y);
}

// The row's columns 64 * pair to 64 * pair + 63 times each step's. A group past the last column has the scale 0.
fn dotPair(start: vec2u, pair: u32, steps: Steps) -> Dots {
  let scale = unpack2x16float(scales[start.y + pair]);
  let at = start.x + 4u * pair;
  let a = weight[at];
  let b = weight[at + 1u];
  let c = weight[at + 2u];
  let d = weight[at + 3u];
  var dots: Dots;
  for (var t = 0u; t < TOKENS; t++) {
    let step = steps[t];
    dots[t] = scale.x * (step.sums.x * dotGroup(a, b, step.first)) + scale.y * (step.sums.z * dotGroup(c, d, step.second));
  }
  return dots;
}
