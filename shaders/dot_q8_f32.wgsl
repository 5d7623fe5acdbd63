// Part: 64 weights of a row of eight bits times 64 activations, as f32. Links with input_f32.wgsl; exports the same names
// as dot_q4_i8.wgsl.
@group(0) @binding(1) var<storage, read> weight: array<vec4u>; // [rows, COLUMNS / 16]
@group(0) @binding(2) var<storage, read> scales: array<u32>;   // [rows, PAIRS], two f16 each

// Where a row's words and scales begin.
fn rowStart(row: u32) -> vec2u {
  return vec2u(row * (COLUMNS / 16u), row * PAIRS);
}

// Four signed bytes as f32. Converting integers is slow on many GPUs: q + 128 is moved into the mantissa of 2^23.
fn fourOf(word: u32) -> vec4f {
  let bytes = (vec4u(word ^ 0x80808080u) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(0xffu);
  return bitcast<vec4f>(bytes | vec4u(0x4b000000u)) - 8388736.0;
}

fn dotGroup(a: vec4u, b: vec4u, x: u32) -> f32 {
  return dot(fourOf(a.x), input[x]) + dot(fourOf(a.y), input[x + 1u]) +
    dot(fourOf(a.z), input[x + 2u]) + dot(fourOf(a.w), input[x + 3u]) +
    dot(fourOf(b.x), input[x + 4u]) + dot(fourOf(b.y), input[x + 5u]) +
    dot(fourOf(b.z), input[x + 6u]) + dot(fourOf(b.w), input[x + 7u]);
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
    dots[t] = scale.x * dotGroup(a, b, step.at) + scale.y * dotGroup(c, d, step.at + 8u);
  }
  return dots;
}
