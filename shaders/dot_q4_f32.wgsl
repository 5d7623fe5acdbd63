// Part: 64 weights of a row of four bits times 64 activations, as f32. Links with input_f32.wgsl; exports the same names as
// dot_q4_i8.wgsl.
@group(0) @binding(1) var<storage, read> weight: array<vec4u>; // [rows, COLUMNS / 32], a vec4u a group
@group(0) @binding(2) var<storage, read> scales: array<vec4u>; // [rows, super-blocks of 256 columns]

override SUPERBLOCKS = (COLUMNS + 255u) / 256u;

// Where a row's words and scales begin.
fn rowStart(row: u32) -> vec2u {
  return vec2u(row * (COLUMNS / 32u), row * SUPERBLOCKS);
}

// 64 + q of the nibbles in bits 4 to 7 and 20 to 23. Converting integers is slow on many GPUs: q is moved into the mantissas
// of two halves, and where halves can be factors of f32 products they are not converted either.
fn lift(word: u32) -> vec2f {
  return unpack2x16float((word & 0x00f000f0u) | 0x54005400u);
}

// Adds the sum of (64 + q) * x over eight weights.
fn dotWord(word: u32, at: u32, sum: f32) -> f32 {
  let a = lift(word << 4u); // weights 0 and 2
  let b = lift(word >> 4u); // 1 and 3
  let c = lift(word);       // 4 and 6
  let d = lift(word >> 8u); // 5 and 7
  return dotFour(vec4f(c.x, d.x, c.y, d.y), input[at + 1u], dotFour(vec4f(a.x, b.x, a.y, b.y), input[at], sum));
}

fn dotFour(q: vec4f, x: vec4f, sum: f32) -> f32 {
  return fma(q.w, x.w, fma(q.z, x.z, fma(q.y, x.y, fma(q.x, x.x, sum))));
}

// The sum of q * x over a group, of which xs is the sum of x.
fn dotGroup(words: vec4u, at: u32, xs: f32) -> f32 {
  let first = dotWord(words.y, at + 2u, dotWord(words.x, at, -64.0 * xs));
  return dotWord(words.w, at + 6u, dotWord(words.z, at + 4u, first));
}

// The row's columns 64 * pair to 64 * pair + 63 times each step's. Groups past the last column have the scale and minimum
// 0, whatever their words are.
fn dotPair(start: vec2u, pair: u32, steps: Steps) -> Dots {
  let block = scales[start.y + pair / 4u];
  let d = unpack2x16float(block.x);
  // Of each word the byte that is the pair's: six bits of scale, minimum and scale, and three times two of a minimum.
  let codes = block.yzw >> vec3u(8u * (pair % 4u));
  let a = weight[start.x + 2u * pair];
  let b = weight[start.x + 2u * pair + 1u];
  let minimum = ((codes.x >> 6u) & 3u) | ((codes.y >> 4u) & 12u) | ((codes.z >> 2u) & 48u);
  var dots: Dots;
  for (var t = 0u; t < TOKENS; t++) {
    let step = steps[t];
    let first = f32(codes.x & 63u) * dotGroup(a, step.at, step.sums.x);
    let second = f32(codes.z & 63u) * dotGroup(b, step.at + 8u, step.sums.y);
    dots[t] = d.x * (first + second) - d.y * (f32(codes.y & 63u) * step.sums.x + f32(minimum) * step.sums.y);
  }
  return dots;
}
