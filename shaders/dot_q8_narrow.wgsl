// Part: 64 weights of a row of eight bits times 64 activations of eight, two products a multiplication. Links with
// narrow.wgsl; exports the same names as dot_q4_narrow.wgsl.
@group(0) @binding(1) var<storage, read> weight: array<vec4u>; // [rows, COLUMNS / 16]
@group(0) @binding(2) var<storage, read> scales: array<u32>;   // [rows, PAIRS], two f16 each

// Where a row's words and scales begin.
fn rowStart(row: u32) -> vec2u {
  return vec2u(row * (COLUMNS / 16u), row * PAIRS);
}

// Those of 256 columns; behind a row's last pair, whatever is there.
fn scalesOf(start: vec2u, block: u32) -> vec4u {
  let at = start.y + 4u * block;
  return vec4u(scales[at], scales[at + 1u], scales[at + 2u], scales[at + 3u]);
}

// Four weights times four activations, as pairs. Two products are at most 2 * 127 * 127, so that no more go into one sum.
fn dotWord(evenWeights: u32, oddWeights: u32, even: vec4u, odd: vec4u) -> vec4i {
  return upperOf(evenWeights * even) + upperOf(oddWeights * odd);
}

// The sum of q * activation over half a group.
fn dotHalf(words: vec4u, even: array<vec4u, 4>, odd: array<vec4u, 4>) -> vec4i {
  let a = evenPairs(words);
  let b = oddPairs(words);
  return dotWord(a.x, b.x, even[0], odd[0]) + dotWord(a.y, b.y, even[1], odd[1]) +
    dotWord(a.z, b.z, even[2], odd[2]) + dotWord(a.w, b.w, even[3], odd[3]);
}

// The row's columns 64 * pair to 64 * pair + 63. A group past the last column has the scale 0.
struct Weights {
  words: array<vec4u, 4>,
  scale: vec2f,
}

fn weightsOf(start: vec2u, pair: u32, block: vec4u) -> Weights {
  let at = start.x + 4u * pair;
  let words = array(weight[at], weight[at + 1u], weight[at + 2u], weight[at + 3u]);
  return Weights(words, unpack2x16float(block[pair % 4u]));
}

// Their products with those of x, a component a token.
fn dotFour(w: Weights, x: Four) -> vec4f {
  let first = vec4f(dotHalf(w.words[0], x.even[0], x.odd[0]) + dotHalf(w.words[1], x.even[1], x.odd[1]));
  let second = vec4f(dotHalf(w.words[2], x.even[2], x.odd[2]) + dotHalf(w.words[3], x.even[3], x.odd[3]));
  return w.scale.x * (x.groups[0] * first) + w.scale.y * (x.groups[2] * second);
}
