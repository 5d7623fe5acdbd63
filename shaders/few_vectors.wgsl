// Part: the activations of a step of gemv_narrow_few.wgsl, of vectors one behind the other. Links with input_i8.wgsl, narrow.wgsl and a
// tokens_*.wgsl. Exports the same name as few_quads.wgsl.

// Those of four tokens from the `first` on, or of what there are of them: a read of the subgroup for two.
fn fourFrom(step: u32, first: u32, groups: vec4u, lane: u32) -> Four {
  let lower = min(first + lane / 4u, TOKENS - 1u);
  let upper = min(first + 2u + lane / 4u, TOKENS - 1u);
  return fourOf(input[step + lower * VECTOR + lane % 4u], input[step + upper * VECTOR + lane % 4u], groups, first);
}

fn activationsOf(firstToken: u32, pair: u32, lane: u32) -> Activations {
  let step = firstToken * VECTOR + pair * RECORD;
  let groups = input[step + min(lane, TOKENS - 1u) * VECTOR + 4u];
  return Activations(fourFrom(step, 0u, groups, lane), fourFrom(step, 4u, groups, lane));
}
