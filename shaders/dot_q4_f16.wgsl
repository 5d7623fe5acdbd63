// Part: two groups of weights of four bits times activations as halves. Links with dot_q4.wgsl and input_f16.wgsl. Exports the same names
// as dot_q4_i8.wgsl.

// 1024 as two halves, in a register of the lane's: of two constants of an instruction, Mesa's compiler for NVIDIA's cards moves one
// there each time. Nothing is bound that is empty.
fn baseOf(place: Place) -> u32 {
  return select(0x64006400u, place.low, arrayLength(&weight) == 0u);
}

// q - 8 of a word's low nibbles in bytes 0 and 2. A nibble in the lowest bits of 1024 makes 1024 + q, exactly.
fn low(word: u32, base: u32) -> vec2<f16> {
  return bitcast<vec2<f16>>((word & 0x000f000fu) | base) - 1032.0h;
}

// 16 * (q - 8) of its high nibbles.
fn high(word: u32, base: u32) -> vec2<f16> {
  return bitcast<vec2<f16>>((word & 0x00f000f0u) | base) - 1152.0h;
}

struct Sums {
  low: vec2<f16>,
  high: vec2<f16>,
}

fn dotWord(word: u32, base: u32, x: vec4u, sums: Sums) -> Sums {
  let odd = word >> 8u;
  return Sums(
    fma(low(odd, base), bitcast<vec2<f16>>(x.y), fma(low(word, base), bitcast<vec2<f16>>(x.x), sums.low)),
    fma(high(odd, base), bitcast<vec2<f16>>(x.w), fma(high(word, base), bitcast<vec2<f16>>(x.z), sums.high)),
  );
}

// The sum of (q - 8) * h over a group. Eight products are added as halves: at most 8 * 128 * 32, which is one.
fn dotGroup(words: vec4u, base: u32, at: u32) -> f32 {
  var sums = Sums();
  sums = dotWord(words.x, base, input[at], sums);
  sums = dotWord(words.y, base, input[at + 1u], sums);
  sums = dotWord(words.z, base, input[at + 2u], sums);
  sums = dotWord(words.w, base, input[at + 3u], sums);
  let both = vec2f(fma(sums.high, vec2<f16>(0.0625h), sums.low));
  return both.x + both.y;
}

fn dotGroups(a: vec4u, b: vec4u, place: Place, step: Step) -> vec2f {
  let base = baseOf(place);
  return vec2f(
    fma(step.sums.x, dotGroup(a, base, step.at), 8.0 * step.sums.y),
    fma(step.sums.z, dotGroup(b, base, step.at + 4u), 8.0 * step.sums.w),
  );
}
