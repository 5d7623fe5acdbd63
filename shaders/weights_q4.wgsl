// Part: a slab of a weight matrix stored in four bits, groups of 32, w = scale * (q - 8). Every weights_*.wgsl
// exports Eight and weights8.
override COLUMNS: u32; // a multiple of 32

// One u32 has eight consecutive weights: byte b has weight b in its low nibble and weight 4 + b in its high one.
@group(0) @binding(1) var<storage, read> weight: array<u32>; // [rows, COLUMNS / 8]
@group(0) @binding(2) var<storage, read> scales: array<u32>; // [rows, COLUMNS / 32] flat, two f16 to a u32

// Eight consecutive weights of a row.
struct Eight {
  low: vec4f,
  high: vec4f,
}

fn weights8(row: u32, octet: u32) -> Eight {
  let word = weight[row * (COLUMNS / 8u) + octet];
  let group = row * (COLUMNS / 32u) + octet / 4u;
  let scale = unpack2x16float(scales[group / 2u])[group % 2u];
  let bytes = vec4u(word) >> vec4u(0u, 8u, 16u, 24u);
  let low = vec4f(bytes & vec4u(15u)) - 8.0;
  let high = vec4f((bytes >> vec4u(4u)) & vec4u(15u)) - 8.0;
  return Eight(scale * low, scale * high);
}
