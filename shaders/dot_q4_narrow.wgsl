// Part: 64 weights of a row of four bits times 64 activations of eight, two products a multiplication. Links with
// narrow.wgsl. Every dot_*_narrow.wgsl exports rowStart, scalesOf, weightsOf and dotFour.
@group(0) @binding(1) var<storage, read> weight: array<vec4u>; // [rows, COLUMNS / 32], a vec4u a group
@group(0) @binding(2) var<storage, read> scales: array<vec4u>; // [rows, super-blocks of 256 columns]

// Where a row's words and scales begin.
fn rowStart(row: u32) -> vec2u {
  return vec2u(row * (COLUMNS / 32u), row * BLOCKS);
}

// Those of 256 columns.
fn scalesOf(start: vec2u, block: u32) -> vec4u {
  return scales[start.y + block];
}

// A byte has weight b in its low nibble and weight 4 + b in its high one; of the activations words 0 are those of low nibbles, words 1
// of high ones. The four products are at most 8 * 15 * 127.
fn dotWord(word: u32, even: array<vec4u, 2>, odd: array<vec4u, 2>) -> vec4u {
  return (word & 0x000f000fu) * even[0] + ((word >> 4u) & 0x000f000fu) * even[1] +
    ((word >> 8u) & 0x000f000fu) * odd[0] + ((word >> 12u) & 0x000f000fu) * odd[1];
}

// The sum of q * activation over half a group.
fn dotHalf(words: vec2u, even: array<vec4u, 4>, odd: array<vec4u, 4>) -> vec4i {
  return upperOf(
    dotWord(words.x, array(even[0], even[1]), array(odd[0], odd[1])) +
      dotWord(words.y, array(even[2], even[3]), array(odd[2], odd[3])),
  );
}

// The row's columns 64 * pair to 64 * pair + 63: see dot_q4.wgsl.
struct Weights {
  a: vec4u,
  b: vec4u,
  codes: vec4u, // scale, minimum, scale, minimum
  d: vec2f,
}

fn weightsOf(start: vec2u, pair: u32, block: vec4u) -> Weights {
  let codes = block.yzw >> vec3u(8u * (pair % 4u));
  let minimum = ((codes.x >> 6u) & 3u) | ((codes.y >> 4u) & 12u) | ((codes.z >> 2u) & 48u);
  return Weights(
    weight[start.x + 2u * pair],
    weight[start.x + 2u * pair + 1u],
    vec4u(codes.x & 63u, codes.y & 63u, codes.z & 63u, minimum),
    unpack2x16float(block.x),
  );
}

// Their products with those of x, a component a token.
fn dotFour(w: Weights, x: Four) -> vec4f {
  let first = vec4f(dotHalf(w.a.xy, x.even[0], x.odd[0]) + dotHalf(w.a.zw, x.even[1], x.odd[1]));
  let second = vec4f(dotHalf(w.b.xy, x.even[2], x.odd[2]) + dotHalf(w.b.zw, x.even[3], x.odd[3]));
  return w.d.x * (f32(w.codes.x) * (x.groups[0] * first) + f32(w.codes.z) * (x.groups[2] * second)) -
    w.d.y * (f32(w.codes.y) * x.groups[1] + f32(w.codes.w) * x.groups[3]);
}
