// Part: 64 weights of a row of eight bits times 64 activations of each of TOKENS tokens. Links with an input_*.wgsl and the
// dot_q8_*.wgsl of the same arithmetic, which has dotGroups. Exports the same names as dot_q4.wgsl.
@group(0) @binding(1) var<storage, read> weight: array<vec4u>; // [rows, COLUMNS / 16]
@group(0) @binding(2) var<storage, read> scales: array<u32>;   // [rows, PAIRS], two f16 each

// What all of a lane's pairs have in common: nothing that is needed.
alias Place = u32;

fn placeOf(own: u32) -> Place {
  return own;
}

fn settled(sum: f32, own: u32) -> f32 {
  return sum;
}

// Where the words and scales of four rows begin.
fn startsOf(rows: vec4u) -> array<vec2u, 4> {
  let words = rows * (COLUMNS / 16u);
  let pairs = rows * PAIRS;
  return array(vec2u(words.x, pairs.x), vec2u(words.y, pairs.y), vec2u(words.z, pairs.z), vec2u(words.w, pairs.w));
}

// `sums` and the row's columns 64 * pair to 64 * pair + 63 times each step's. A group past the last column has the scale 0.
fn dotPair(start: vec2u, pair: u32, place: Place, steps: Steps, sums: Dots) -> Dots {
  let scale = unpack2x16float(scales[start.y + pair]);
  let at = start.x + 4u * pair;
  let a = weight[at];
  let b = weight[at + 1u];
  let c = weight[at + 2u];
  let d = weight[at + 3u];
  var dots: Dots;
  for (var t = 0u; t < TOKENS; t++) {
    let groups = dotGroups(a, b, c, d, steps[t]);
    dots[t] = fma(scale.y, groups.y, fma(scale.x, groups.x, sums[t]));
  }
  return dots;
}
