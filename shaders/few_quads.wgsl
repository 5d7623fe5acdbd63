// Part: the activations of a step of gemv_narrow_few.wgsl, of two quads (quantise.wgsl). Links with rows.wgsl, input_i8.wgsl and
// narrow.wgsl. Exports the same name as few_vectors.wgsl.
const QUAD_RECORD = 20u; // vec4u

fn activationsOf(firstToken: u32, pair: u32, lane: u32) -> Activations {
  let first = (firstToken / 4u * PAIRS + pair) * QUAD_RECORD;
  // A quad past the end repeats the last one; nothing of it is put anywhere.
  let later = (min(firstToken / 4u + 1u, (rows.count - 1u) / 4u) * PAIRS + pair) * QUAD_RECORD;
  let groups = input[select(first, later, lane >= 4u) + 16u + lane % 4u];
  return Activations(
    fourOf(input[first + lane], input[first + 8u + lane], groups, 0u),
    fourOf(input[later + lane], input[later + 8u + lane], groups, 4u),
  );
}
