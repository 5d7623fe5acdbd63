// Part: 64 weights of a row of eight bits times 64 activations of each of TOKENS tokens. Links with an input_*.wgsl and the
// dot_q8_*.wgsl of the same arithmetic, which has dotGroups. Exports the same names as dot_q4.wgsl.
@group(0) @binding(1) var<storage, read> weight: array<vec4u>; // [rows, COLUMNS / 16]
@group(0) @binding(2) var<storage, read> scales: array<u32>;   // [rows, PAIRS], two f16 each

// Where a row's words and scales begin.
fn rowStart(row: u32) -> vec2u {
  return vec2u(row * (COLUMNS / 16u), row * PAIRS);
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
    let groups = dotGroups(a, b, c, d, steps[t]);
    dots[t] = scale.x * groups.x + scale.y * groups.y;
  }
  return dots;
}
