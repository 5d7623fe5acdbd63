// Part: 64 weights of a row of four bits times 64 activations, as f32. Links with input_f32.wgsl; exports the same names as
// dot_q4_i8.wgsl.
@group(0) @binding(1) var<storage, read> weight: array<vec4u>; // [rows, COLUMNS / 32], a vec4u a group
@group(0) @binding(2) var<storage, read> scales: array<vec4u>; // [rows, super-blocks of 256 columns]

override SUPERBLOCKS = (COLUMNS + 255u) / 256u;

// Where a row's words and scales begin.
fn rowStart(row: u32) -> vec2u {
  return vec2u(row * (COLUMNS / 32u), row * SUPERBLOCKS);
}

// The sum of q * x / 16 over eight weights, and their lifted sum of x. Converting integers is slow on many GPUs: q is
// moved into the mantissa of 1 or of 16, two nibbles by one shift, which makes 1 + q / 16 and 16 + q / 16 of them.
fn dotWord(word: u32, at: u32) -> f32 {
  let shifted = vec4u(word << 15u, word << 7u, word >> 1u, word >> 9u);
  let low = bitcast<vec4f>((shifted & vec4u(0x00078000u)) | vec4u(0x41800000u));
  let high = bitcast<vec4f>((shifted & vec4u(0x00780000u)) | vec4u(0x3f800000u));
  return dot(low, input[at]) + dot(high, input[at + 1u]);
}

fn dotGroup(words: vec4u, at: u32) -> f32 {
  return dotWord(words.x, at) + dotWord(words.y, at + 2u) + dotWord(words.z, at + 4u) + dotWord(words.w, at + 6u);
}

// The row's columns 64 * pair to 64 * pair + 63 times the step's. Groups past the last column have the scale and minimum
// 0, whatever their words are.
fn dotPair(start: vec2u, pair: u32, step: Step) -> f32 {
  let block = scales[start.y + pair / 4u];
  let d = unpack2x16float(block.x);
  // Of each word the byte that is the pair's: six bits of scale, minimum and scale, and three times two of a minimum.
  let codes = block.yzw >> vec3u(8u * (pair % 4u));
  let first = f32(codes.x & 63u) * (dotGroup(weight[start.x + 2u * pair], step.at) - step.sums.x);
  let second = f32(codes.z & 63u) * (dotGroup(weight[start.x + 2u * pair + 1u], step.at + 8u) - step.sums.z);
  let minimum = ((codes.x >> 6u) & 3u) | ((codes.y >> 4u) & 12u) | ((codes.z >> 2u) & 48u);
  return 16.0 * d.x * (first + second) - d.y * (f32(codes.y & 63u) * step.sums.y + f32(minimum) * step.sums.w);
}
