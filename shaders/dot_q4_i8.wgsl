// Part: two groups of weights of four bits times activations of eight. Links with dot_q4.wgsl and input_i8.wgsl. Every dot_q4_*.wgsl
// exports dotGroups: of each group the sum of q times the activation.

// The sum of q * activation over a group. A byte has weight b in its low nibble and weight 4 + b in its high one.
fn dotGroup(words: vec4u, x: array<vec4u, 2>) -> f32 {
  let low = words & vec4u(0x0f0f0f0fu);
  let high = (words >> vec4u(4u)) & vec4u(0x0f0f0f0fu);
  return f32(
    dot4I8Packed(low.x, x[0].x) + dot4I8Packed(high.x, x[0].y) +
    dot4I8Packed(low.y, x[0].z) + dot4I8Packed(high.y, x[0].w) +
    dot4I8Packed(low.z, x[1].x) + dot4I8Packed(high.z, x[1].y) +
    dot4I8Packed(low.w, x[1].z) + dot4I8Packed(high.w, x[1].w)
  );
}

fn dotGroups(a: vec4u, b: vec4u, place: Place, step: Step) -> vec2f {
  return vec2f(step.sums.x * dotGroup(a, step.first), step.sums.z * dotGroup(b, step.second));
}
