// Part: rounds a group as input_i8.wgsl reads it: to integers within [-127, 127] times a scale. Links with store_rounded.wgsl.
const FOUR_WORDS = 1u; // u32 of four values

// What the integers of a group are multiplied by, where `largest` has the bits of its largest magnitude.
fn scaleOf(largest: u32) -> f32 {
  return bitcast<f32>(largest) / 127.0;
}

// What its values are multiplied by before they are rounded.
fn inverseOf(largest: u32) -> f32 {
  return select(0.0, 127.0 / bitcast<f32>(largest), largest < 0x7f800000u && largest > 0u);
}

// Stores four values from `at` on, and gives the sum of what they were rounded to.
fn putFour(at: u32, scaled: vec4f) -> f32 {
  let quants = vec4i(round(scaled));
  stored[at] = pack4xI8(quants);
  return f32(quants.x + quants.y + quants.z + quants.w);
}
