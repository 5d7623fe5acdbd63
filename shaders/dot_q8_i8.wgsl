// Part: two groups of weights of eight bits times activations of eight. Links with dot_q8.wgsl and input_i8.wgsl. Every dot_q8_*.wgsl
// exports dotGroups: of each group the sum of weight / scale times the activation.

fn dotGroup(a: vec4u, b: vec4u, x: array<vec4u, 2>) -> f32 {
  return f32(
    dot4I8Packed(a.x, x[0].x) + dot4I8Packed(a.y, x[0].y) + dot4I8Packed(a.z, x[0].z) + dot4I8Packed(a.w, x[0].w) +
    dot4I8Packed(b.x, x[1].x) + dot4I8Packed(b.y, x[1].y) + dot4I8Packed(b.z, x[1].z) + dot4I8Packed(b.w, x[1].w)
  );
}

fn dotGroups(a: vec4u, b: vec4u, c: vec4u, d: vec4u, step: Step) -> vec2f {
  return vec2f(step.sums.x * dotGroup(a, b, step.first), step.sums.z * dotGroup(c, d, step.second));
}
