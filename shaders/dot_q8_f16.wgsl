// Part: two groups of weights of eight bits times activations as halves. Links with dot_q8.wgsl and input_f16.wgsl. Exports the same name as
// dot_q8_i8.wgsl.

// q of a word's bytes 0 and 2. q + 128 in the lowest bits of 1024 makes 1152 + q, exactly.
fn bytes(word: u32) -> vec2<f16> {
  return bitcast<vec2<f16>>((word & 0x00ff00ffu) | 0x64006400u) - 1152.0h;
}

// Eight weights of two words times eight activations. Eight products are added as halves, those
// of two calls: at most 8 * 127 * 32, which is one.
fn dotWords(first: u32, second: u32, x: vec4u, sum: vec2<f16>) -> vec2<f16> {
  let a = first ^ 0x80808080u;
  let b = second ^ 0x80808080u;
  let four = fma(bytes(a >> 8u), bitcast<vec2<f16>>(x.y), fma(bytes(a), bitcast<vec2<f16>>(x.x), sum));
  return fma(bytes(b >> 8u), bitcast<vec2<f16>>(x.w), fma(bytes(b), bitcast<vec2<f16>>(x.z), four));
}

fn dotGroup(a: vec4u, b: vec4u, at: u32) -> f32 {
  let first = vec2f(dotWords(a.z, a.w, input[at + 1u], dotWords(a.x, a.y, input[at], vec2(0.0h))));
  let second = vec2f(dotWords(b.z, b.w, input[at + 3u], dotWords(b.x, b.y, input[at + 2u], vec2(0.0h))));
  return (first.x + first.y) + (second.x + second.y);
}

fn dotGroups(a: vec4u, b: vec4u, c: vec4u, d: vec4u, step: Step) -> vec2f {
  return vec2f(step.sums.x * dotGroup(a, b, step.at), step.sums.z * dotGroup(c, d, step.at + 4u));
}
