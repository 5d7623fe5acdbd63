// Part: a slab of a weight matrix stored as i8 in groups of 32, w = scale * q. Every weights_*.wgsl exports Eight
// and weights8.
override COLUMNS: u32; // a multiple of 32

@group(0) @binding(1) var<storage, read> weight: array<vec2u>; // [rows, COLUMNS / 8], four i8 to a u32
@group(0) @binding(2) var<storage, read> scales: array<u32>;   // [rows, ceil(COLUMNS / 64)], two f16 to a u32

// Eight consecutive weights of a row.
struct Eight {
  low: vec4f,
  high: vec4f,
}

fn signedBytes(word: u32) -> vec4f {
  return vec4f(vec4i(vec4u(word) << vec4u(24u, 16u, 8u, 0u)) >> vec4u(24u));
}

fn weights8(row: u32, octet: u32) -> Eight {
  let words = weight[row * (COLUMNS / 8u) + octet];
  let pair = scales[row * ((COLUMNS + 63u) / 64u) + octet / 8u];
  let scale = unpack2x16float(pair)[octet / 4u % 2u];
  return Eight(scale * signedBytes(words.x), scale * signedBytes(words.y));
}
