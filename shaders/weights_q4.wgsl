// Part: a slab of a weight matrix stored in four bits, groups of 32, w = d * scale * q - dmin * minimum. Every
// weights_*.wgsl exports Eight, weights8, and for whoever takes several of a group factorsOf and weightsBy.
override COLUMNS: u32; // a multiple of 32

// One u32 has eight consecutive weights: byte b has weight b in its low nibble and weight 4 + b in its high one.
@group(0) @binding(1) var<storage, read> weight: array<u32>;   // [rows, COLUMNS / 8]
@group(0) @binding(2) var<storage, read> scales: array<vec4u>; // [rows, ceil(COLUMNS / 256)], eight groups to a block

// Eight consecutive weights of a row.
struct Eight {
  low: vec4f,
  high: vec4f,
}

// Scale and minimum of a group of 32.
fn factorsOf(row: u32, group: u32) -> vec2f {
  let block = scales[row * ((COLUMNS + 255u) / 256u) + group / 8u];
  let d = unpack2x16float(block.x); // and dmin
  // Groups 2p and 2p + 1 have byte p of three words: in the low six bits the even group's scale, its minimum and the
  // odd one's scale, above them two bits each of the odd one's minimum.
  let bytes = (block.yzw >> vec3u(8u * (group % 8u / 2u))) & vec3u(255u);
  let six = bytes & vec3u(63u);
  let two = bytes >> vec3u(6u);
  let even = vec2u(six.x, six.y);
  let odd = vec2u(six.z, two.x | (two.y << 2u) | (two.z << 4u));
  return d * vec2f(select(even, odd, group % 2u == 1u));
}

// With the factors of their group.
fn weightsBy(factors: vec2f, row: u32, octet: u32) -> Eight {
  let word = weight[row * (COLUMNS / 8u) + octet];
  let nibbles = vec4u(word) >> vec4u(0u, 8u, 16u, 24u);
  let low = vec4f(nibbles & vec4u(15u));
  let high = vec4f((nibbles >> vec4u(4u)) & vec4u(15u));
  return Eight(factors.x * low - factors.y, factors.x * high - factors.y);
}

fn weights8(row: u32, octet: u32) -> Eight {
  return weightsBy(factorsOf(row, octet / 4u), row, octet);
}
