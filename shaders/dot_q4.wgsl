// Part: 64 weights of a row of four bits times 64 activations of each of TOKENS tokens. Links with an input_*.wgsl and the
// dot_q4_*.wgsl of the same arithmetic, which has dotGroups. Every dot_*.wgsl of a format exports rowStart and dotPair.
@group(0) @binding(1) var<storage, read> weight: array<vec4u>; // [rows, COLUMNS / 32], a vec4u a group
@group(0) @binding(2) var<storage, read> scales: array<vec4u>; // [rows, super-blocks of 256 columns]

override SUPERBLOCKS = (COLUMNS + 255u) / 256u;

// Where a row's words and scales begin.
fn rowStart(row: u32) -> vec2u {
  return vec2u(row * (COLUMNS / 32u), row * SUPERBLOCKS);
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
    let groups = dotGroups(a, b, steps[t]);
    let sums = sumsOf(steps[t]);
    dots[t] = d.x * (f32(codes.x & 63u) * groups.x + f32(codes.z & 63u) * groups.y) -
      d.y * (f32(codes.y & 63u) * sums.x + f32(minimum) * sums.y);
  }
  return dots;
}
