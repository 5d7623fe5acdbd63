// Part: two groups of weights of four bits times activations as halves. Links with dot_q4.wgsl and input_f16.wgsl. Exports the same name as
// dot_q4_i8.wgsl.

// q - 8 of a word's low nibbles in bytes 0 and 2. A nibble in the lowest bits of 1024 makes 1024 + q, exactly.
fn low(word: u32) -> vec2<f16> {
  return bitcast<vec2<f16>>((word & 0x000f000fu) | 0x64006400u) - 1032.0h;
}

// 16 * (q - 8) of its high nibbles.
fn high(word: u32) -> vec2<f16> {
  return bitcast<vec2<f16>>((word & 0x00f000f0u) | 0x64006400u) - 1152.0h;
}

struct Sums {
  low: vec2<f16>,
  high: vec2<f16>,
}

fn dotWord(word: u32, x: vec4u, sums: Sums) -> Sums {
  let odd = word >> 8u;
  return Sums(
    fma(low(odd), bitcast<vec2<f16>>(x.y), fma(low(word), bitcast<vec2<f16>>(x.x), sums.low)),
    fma(high(odd), bitcast<vec2<f16>>(x.w), fma(high(word), bitcast<vec2<f16>>(x.z), sums.high)),
  );
}

// The sum of (q - 8) * h over a group. Eight products are added as halves: at most 8 * 128 * 32, which is one.
fn dotGroup(words: vec4u, at: u32) -> f32 {
  var sums = Sums();
  sums = dotWord(words.x, input[at], sums);
  sums = dotWord(words.y, input[at + 1u], sums);
  sums = dotWord(words.z, input[at + 2u], sums);
  sums = dotWord(words.w, input[at + 3u], sums);
  let lows = vec2f(sums.low);
  let highs = vec2f(sums.high);
  return fma(highs.x + highs.y, 0.0625, lows.x + lows.y);
}

fn dotGroups(a: vec4u, b: vec4u, step: Step) -> vec2f {
  return vec2f(fma(step.sums.x, dotGroup(a, step.at), 8.0 * step.sums.y), fma(step.sums.z, dotGroup(b, step.at + 4u), 8.0 * step.sums.w));
}
