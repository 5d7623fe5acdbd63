// Part: weights of four bits as bytes, 16 at a time, w = scale * q - minimum. Links with input_i8.wgsl. Every tile_*.wgsl exports
// bytesOf and factorsOf.
@group(0) @binding(1) var<storage, read> weight: array<vec2u>; // [rows, COLUMNS / 16]
@group(0) @binding(2) var<storage, read> scales: array<vec4u>; // [rows, super-blocks of 256 columns]

// q of columns 64 * pair + 16 * quarter to those 15 after it, in their order. A byte has weight b in its low nibble and weight
// 4 + b in its high one. Past the last column, whatever is there.
fn bytesOf(row: u32, pair: u32, quarter: u32) -> vec4u {
  let words = weight[row * (COLUMNS / 16u) + 4u * pair + quarter];
  return vec4u(words.x, words.x >> 4u, words.y, words.y >> 4u) & vec4u(0x0f0f0f0fu);
}

// Scale and minimum of columns 64 * pair to 64 * pair + 31, and of the 32 after them: dot_q4.wgsl has the layout. Past the last
// column both are 0.
fn factorsOf(row: u32, pair: u32) -> vec4f {
  let block = scales[row * ((COLUMNS + 255u) / 256u) + pair / 4u];
  let d = unpack2x16float(block.x);
  let codes = block.yzw >> vec3u(8u * (pair % 4u));
  let minimum = ((codes.x >> 6u) & 3u) | ((codes.y >> 4u) & 12u) | ((codes.z >> 2u) & 48u);
  return d.xyxy * vec4f(vec4u(codes.x & 63u, codes.y & 63u, codes.z & 63u, minimum));
}
