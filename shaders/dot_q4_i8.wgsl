// Part: 64 weights of a row of four bits times 64 activations of eight. Links with input_i8.wgsl. Every dot_*.wgsl exports
// rowStart and dotPair.
@group(0) @binding(1) var<storage, read> weight: array<vec4u>; // [rows, COLUMNS / 32], a vec4u a group
@group(0) @binding(2) var<storage, read> scales: array<vec4u>; // [rows, super-blocks of 256 columns]

override SUPERBLOCKS = (COLUMNS + 255u) / 256u;

// Where a row's words and scales begin.
fn rowStart(row: u32) -> vec2u {
  return vec2u(row * (COLUMNS / 32u), row * SUPERBLOCKS);
}

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

// The row's columns 64 * pair to 64 * pair + 63 times each step's. Groups past the last column have the scale and minimum
// 0, whatever their words are.
fn dotPair(start: vec2u, pair: u32, steps: Steps) -> Dots {
  let block = scales[start.y + pair / 4u];
  let d = unpack2x16float(block.x);
  // Of each word the byte that is the pair's: six bits of scale, minimum and scale, and three times two of a minimum.
  let codes = block.yzw >> vec3u(8u * (pair % 4u));
  let a = weight[start.x + 2u * pair];
  let b = weight[start.x + 2u * pair + 1u];
  let minimum = ((codes.x >> 6u) & 3u) | ((codes.y >> 4u) & 12u) | ((codes.z >> 2u) & 48u);
  var dots: Dots;
  for (var t = 0u; t < TOKENS; t++) {
    let step = steps[t];
    let first = f32(codes.x & 63u) * (step.sums.x * dotGroup(a, step.first));
    let second = f32(codes.z & 63u) * (step.sums.z * dotGroup(b, step.second));
    dots[t] = d.x * (first + second) - d.y * (f32(codes.y & 63u) * step.sums.y + f32(minimum) * step.sums.w);
  }
  return dots;
}
