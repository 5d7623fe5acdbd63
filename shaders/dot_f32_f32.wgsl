// Part: 64 weights of a row of f32 times 64 activations. Links with input_f32.wgsl; exports the same names as
// dot_q4_i8.wgsl.
@group(0) @binding(1) var<storage, read> weight: array<vec4f>; // [rows, COLUMNS / 4]

// Where a row's words begin.
fn rowStart(row: u32) -> vec2u {
  return vec2u(row * (COLUMNS / 4u), 0u);
}

// The row's columns 64 * pair to 64 * pair + 63, as far as there are any, times the step's.
fn dotPair(start: vec2u, pair: u32, step: Step) -> f32 {
  let at = start.x + 16u * pair;
  var sum = 0.0;
  for (var i = 0u; i < min(16u, COLUMNS / 4u - 16u * pair); i++) {
    sum += dot(weight[at + i], input[step.at + i]);
  }
  return sum;
}
