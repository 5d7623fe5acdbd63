// Part: two groups of weights of four bits times activations as f32. Links with dot_q4.wgsl and input_f32.wgsl. Exports the same name as
// dot_q4_i8.wgsl.

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

fn dotGroups(a: vec4u, b: vec4u, place: Place, step: Step) -> vec2f {
  return vec2f(dotGroup(a, step.at, step.sums.x), dotGroup(b, step.at + 8u, step.sums.y));
}
