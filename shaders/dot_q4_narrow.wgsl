// Part: 64 weights of a row of four bits times 64 activations of eight, two products a multiplication. Links with
// gemv_narrow.wgsl. Every dot_*_narrow.wgsl exports rowStart, scalesOf and dotPair.
@group(0) @binding(1) var<storage, read> weight: array<vec4u>; // [rows, COLUMNS / 32], a vec4u a group
@group(0) @binding(2) var<storage, read> scales: array<vec4u>; // [rows, super-blocks of 256 columns]

// Where a row's words and scales begin.
fn rowStart(row: u32) -> vec2u {
  return vec2u(row * (COLUMNS / 32u), row * BLOCKS);
}

// Those of 256 columns.
fn scalesOf(start: vec2u, block: u32) -> vec4u {
  return scales[start.y + block];
}

// A byte has weight b in its low nibble and weight 4 + b in its high one. The four products are at most 8 * 15 * 127.
fn dotWord(word: u32, low: u32, high: u32) -> u32 {
  return (word & 0x000f000fu) * evenPair(low) + ((word >> 4u) & 0x000f000fu) * evenPair(high) +
    ((word >> 8u) & 0x000f000fu) * oddPair(low) + ((word >> 12u) & 0x000f000fu) * oddPair(high);
}

// The sum of q * activation over a group.
fn dotGroup(words: vec4u, x: array<vec4u, 2>) -> f32 {
  return f32(
    upperOf(dotWord(words.x, x[0].x, x[0].y) + dotWord(words.y, x[0].z, x[0].w)) +
    upperOf(dotWord(words.z, x[1].x, x[1].y) + dotWord(words.w, x[1].z, x[1].w))
  );
}

// The row's columns 64 * pair to 64 * pair + 63 times the step's: see dot_q4_i8.wgsl.
fn dotPair(start: vec2u, pair: u32, block: vec4u, step: Step) -> f32 {
  let d = unpack2x16float(block.x);
  let codes = block.yzw >> vec3u(8u * (pair % 4u));
  let first = f32(codes.x & 63u) * (step.sums.x * dotGroup(weight[start.x + 2u * pair], step.first));
  let second = f32(codes.z & 63u) * (step.sums.z * dotGroup(weight[start.x + 2u * pair + 1u], step.second));
  let minimum = ((codes.x >> 6u) & 3u) | ((codes.y >> 4u) & 12u) | ((codes.z >> 2u) & 48u);
  return d.x * (first + second) - d.y * (f32(codes.y & 63u) * step.sums.y + f32(minimum) * step.sums.w);
}
