// Part: two groups of weights of eight bits times activations as f32. Links with dot_q8.wgsl and input_f32.wgsl. Exports the same name as
// dot_q8_i8.wgsl.

// Four signed bytes as f32. Converting integers is slow on many GPUs: q + 128 is moved into the mantissa of 2^23.
fn fourOf(word: u32) -> vec4f {
  let bytes = (vec4u(word ^ 0x80808080u) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(0xffu);
  return bitcast<vec4f>(bytes | vec4u(0x4b000000u)) - 8388736.0;
}

fn dotGroup(a: vec4u, b: vec4u, x: u32) -> f32 {
  return dot(fourOf(a.x), input[x]) + dot(fourOf(a.y), input[x + 1u]) +
    dot(fourOf(a.z), input[x + 2u]) + dot(fourOf(a.w), input[x + 3u]) +
    dot(fourOf(b.x), input[x + 4u]) + dot(fourOf(b.y), input[x + 5u]) +
    dot(fourOf(b.z), input[x + 6u]) + dot(fourOf(b.w), input[x + 7u]);
}

fn dotGroups(a: vec4u, b: vec4u, c: vec4u, d: vec4u, step: Step) -> vec2f {
  return vec2f(dotGroup(a, b, step.at), dotGroup(c, d, step.at + 8u));
}
