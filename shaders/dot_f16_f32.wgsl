// Part: 64 weights of a row of halves times 64 activations, as f32. Links with input_f32.wgsl; exports the same names as
// dot_q4.wgsl.
@group(0) @binding(1) var<storage, read> weight: array<vec4u>; // [rows, COLUMNS / 8]

// Where a row's words begin.
fn rowStart(row: u32) -> vec2u {
  return vec2u(row * (COLUMNS / 8u), 0u);
}

fn dotEight(words: vec4u, at: u32) -> f32 {
  return dot(vec4f(unpack2x16float(words.x), unpack2x16float(words.y)), input[at]) +
    dot(vec4f(unpack2x16float(words.z), unpack2x16float(words.w)), input[at + 1u]);
}

// The row's columns 64 * pair to 64 * pair + 63, as far as there are any, times each step's.
fn dotPair(start: vec2u, pair: u32, steps: Steps) -> Dots {
  let at = start.x + 8u * pair;
  var dots: Dots;
  for (var i = 0u; i < min(8u, COLUMNS / 8u - 8u * pair); i++) {
    let words = weight[at + i];
    for (var t = 0u; t < TOKENS; t++) {
      dots[t] += dotEight(words, steps[t].at + 2u * i);
    }
  }
  return dots;
}
