// Part: a slab of a weight matrix stored as f16, two to a u32: no shader-f16 needed. Every weights_*.wgsl exports
// Eight, weights8, and for whoever takes several of a group factorsOf and weightsBy.
override COLUMNS: u32; // a multiple of 32

@group(0) @binding(1) var<storage, read> weight: array<vec4u>; // [rows, COLUMNS / 8]

// Eight consecutive weights of a row.
struct Eight {
  low: vec4f,
  high: vec4f,
}

fn weights8(row: u32, octet: u32) -> Eight {
  let words = weight[row * (COLUMNS / 8u) + octet];
  return Eight(
    vec4f(unpack2x16float(words.x), unpack2x16float(words.y)),
    vec4f(unpack2x16float(words.z), unpack2x16float(words.w)),
  );
}

fn factorsOf(row: u32, group: u32) -> vec2f {
  return vec2f();
}

fn weightsBy(factors: vec2f, row: u32, octet: u32) -> Eight {
  return weights8(row, octet);
}
