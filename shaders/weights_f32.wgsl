// Part: a slab of a weight matrix stored as f32. Every weights_*.wgsl exports Eight, weights8,
// and for whoever takes several of a group factorsOf and weightsBy.
override COLUMNS: u32; // a multiple of 32

@group(0) @binding(1) var<storage, read> weight: array<vec4f>; // [rows, COLUMNS / 4]

// Eight consecutive weights of a row.
struct Eight {
  low: vec4f,
  high: vec4f,
}

fn weights8(row: u32, octet: u32) -> Eight {
  let at = row * (COLUMNS / 4u) + 2u * octet;
  return Eight(weight[at], weight[at + 1u]);
}

fn factorsOf(row: u32, group: u32) -> vec2f {
  return vec2f();
}

fn weightsBy(factors: vec2f, row: u32, octet: u32) -> Eight {
  return weights8(row, octet);
}
