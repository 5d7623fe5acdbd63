// Part: rounds a group as input_f16.wgsl reads it: to halves times a power of two. Links with store_rounded.wgsl; exports the same
// names as store_i8.wgsl.
const FOUR_WORDS = 2u; // u32 of four values

// 2^-4 of the power of two below the largest magnitude, of which `largest` has the bits. Below 2^-100 halves get smaller instead.
fn scaleOf(largest: u32) -> f32 {
  return bitcast<f32>(max(largest & 0x7f800000u, 27u << 23u) - (4u << 23u));
}

fn inverseOf(largest: u32) -> f32 {
  return bitcast<f32>((254u << 23u) - bitcast<u32>(scaleOf(largest)));
}

fn putFour(at: u32, scaled: vec4f) -> f32 {
  let words = vec2u(pack2x16float(scaled.xz), pack2x16float(scaled.yw));
  stored[at] = words.x;
  stored[at + 1u] = words.y;
  let halves = unpack2x16float(words.x) + unpack2x16float(words.y);
  return halves.x + halves.y;
}
