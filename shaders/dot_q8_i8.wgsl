// Part: 64 weights of a row of eight bits times 64 activations of eight. Links with input_i8.wgsl; exports the same names
// as dot_q4_i8.wgsl.
@group(0) @binding(1) var<storage, read> weight: array<vec4u>; // [rows, COLUMNS / 16]
@group(0) @binding(2) var<storage, read> scales: array<u32>;   // [rows, PAIRS], two f16 each

// Where a row's words and scales begin.
fn rowStart(row: u32) -> vec2u {
  return vec2u(row * (COLUMNS / 16u), row * PAIRS);
}

fn dotGroup(a: vec4u, b: vec4u, x: array<vec4u, 2>) -> f32 {
  return f32(
    dot4I8Packed(a.x, x[0].x) + dot4I8Packed(a.y, x[0].y) + dot4I8Packed(a.z, x[0].z) + dot4I8Packed(a.w, x[0].w) +
    dot4I8Packed(b.x, x[1].x) + dot4I8Packed(b.y, x[1].y) + dot4I8Packed(b.z, x[1].z) + dot4I8Packed(b.w, x[1].w)
  );
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
