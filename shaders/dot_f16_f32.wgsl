// Part: 64 weights of a row of halves times 64 activations, as f32. Links with input_f32.wgsl; exports the same names as
// dot_q4.wgsl.
@group(0) @binding(1) var<storage, read> weight: array<vec4u>; // [rows, COLUMNS / 8]

// What all of a lane's pairs have in common: nothing that is needed.
alias Place = u32;

fn placeOf(own: u32) -> Place {
  return own;
}

fn settled(sum: f32, own: u32) -> f32 {
  return sum;
}

// Where the words of four rows begin.
fn startsOf(rows: vec4u) -> array<u32, 4> {
  let words = rows * (COLUMNS / 8u);
  return array(words.x, words.y, words.z, words.w);
}

fn dotEight(words: vec4u, at: u32) -> f32 {
  return dot(vec4f(unpack2x16float(words.x), unpack2x16float(words.y)), input[at]) +
    dot(vec4f(unpack2x16float(words.z), unpack2x16float(words.w)), input[at + 1u]);
}

// `sums` and the row's columns 64 * pair to 64 * pair + 63, as far as there are any, times each step's.
fn dotPair(start: u32, pair: u32, place: Place, steps: Steps, sums: Dots) -> Dots {
  let at = start + 8u * pair;
  var dots: Dots;
  for (var i = 0u; i < min(8u, COLUMNS / 8u - 8u * pair); i++) {
    let words = weight[at + i];
    for (var t = 0u; t < TOKENS; t++) {
      dots[t] += dotEight(words, steps[t].at + 2u * i);
    }
  }
  for (var t = 0u; t < TOKENS; t++) {
    dots[t] += sums[t];
  }
  return dots;
}
