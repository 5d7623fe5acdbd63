// Part: a KV cache stored as q4, read four consecutive values at a time. Exports the same names as quartet_f16.wgsl.
@group(0) @binding(1) var<storage, read> keys: array<u32>;   // [KV_HEADS, CACHED, HEAD_DIM / 8] codes, then each group's word
@group(0) @binding(2) var<storage, read> values: array<u32>; // likewise

override FIRST_WORD = KV_HEADS * CACHED * (HEAD_DIM / 8u);

fn quartetOf(codes: u32, at: u32, group: u32) -> vec4f {
  let scale = unpack2x16float(group);
  return scale.x * vec4f((vec4u(codes >> (at % 2u * 16u)) >> vec4u(0u, 4u, 8u, 12u)) & vec4u(15u)) + scale.y;
}

fn keyQuartet(at: u32) -> vec4f {
  return quartetOf(keys[at / 2u], at, keys[FIRST_WORD + at / 8u]);
}

fn valueQuartet(at: u32) -> vec4f {
  return quartetOf(values[at / 2u], at, values[FIRST_WORD + at / 8u]);
}
