// Part: a slab of a weight matrix stored as i8 in groups of 32, w = scale * q. Every weights_*.wgsl exports Eight,
// weights8, and for whoever takes several of a group factorsOf and weightsBy.
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

// The scale of a group of 32, and nothing.
fn factorsOf(row: u32, group: u32) -> vec2f {
  let pair = scales[row * ((COLUMNS + 63u) / 64u) + group / 2u];
  return vec2f(unpack2x16float(pair)[group % 2u], 0.0);
}

// With the factors of their group.
fn weightsBy(factors: vec2f, row: u32, octet: u32) -> Eight {
  let words = weight[row * (COLUMNS / 8u) + octet];
  return Eight(factors.x * signedBytes(words.x), factors.x * signedBytes(words.y));
}

fn weights8(row: u32, octet: u32) -> Eight {
  return weightsBy(factorsOf(row, octet / 4u), row, octet);
}
