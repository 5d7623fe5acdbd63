// Part: a slab of a weight matrix stored in four bits, groups of 16, w = scale * (q - zero). Every weights_*.wgsl
// exports Eight and weights8.
override COLUMNS: u32; // a multiple of 32

// One u32 has eight consecutive weights: byte b has weight b in its low nibble and weight 4 + b in its high one.
@group(0) @binding(1) var<storage, read> weight: array<u32>; // [rows, COLUMNS / 8]
@group(0) @binding(2) var<storage, read> scales: array<u32>; // [rows, COLUMNS / 16] flat, two codes to a u32

// Eight consecutive weights of a row.
struct Eight {
  low: vec4f,
  high: vec4f,
}

fn weights8(row: u32, octet: u32) -> Eight {
  let word = weight[row * (COLUMNS / 8u) + octet];
  let group = row * (COLUMNS / 16u) + octet / 2u;
  // Nine bits of scale, the upper ones of a positive f16, below seven of zero point in eighths.
  let code = scales[group / 2u] >> (16u * (group % 2u));
  let scale = unpack2x16float((code & 0x1ffu) << 6u).x;
  let zero = f32((code >> 9u) & 0x7fu) * 0.125;
  let bytes = vec4u(word) >> vec4u(0u, 8u, 16u, 24u);
  let low = vec4f(bytes & vec4u(15u)) - zero;
  let high = vec4f((bytes >> vec4u(4u)) & vec4u(15u)) - zero;
  return Eight(scale * low, scale * high);
}
