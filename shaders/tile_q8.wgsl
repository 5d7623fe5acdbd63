// Part: weights of eight bits as bytes, 16 at a time, w = scale * q. Links with input_i8.wgsl; exports the same names as
// tile_q4.wgsl.
@group(0) @binding(1) var<storage, read> weight: array<vec4u>; // [rows, COLUMNS / 16]
@group(0) @binding(2) var<storage, read> scales: array<u32>;   // [rows, PAIRS], two f16 each

fn bytesOf(row: u32, pair: u32, quarter: u32) -> vec4u {
  return weight[row * (COLUMNS / 16u) + 4u * pair + quarter];
}

// A group past the last column has the scale 0.
fn factorsOf(row: u32, pair: u32) -> vec4f {
  let scale = unpack2x16float(scales[row * PAIRS + pair]);
  return vec4f(scale.x, 0.0, scale.y, 0.0);
}
