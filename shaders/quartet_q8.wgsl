// Part: a KV cache stored as q8, read four consecutive values at a time. Exports the same names as quartet_f16.wgsl.
@group(0) @binding(1) var<storage, read> keys: array<u32>;   // [KV_HEADS, CACHED, HEAD_DIM / 4] codes, then each group's word
@group(0) @binding(2) var<storage, read> values: array<u32>; // likewise

override FIRST_WORD = KV_HEADS * CACHED * (HEAD_DIM / 4u);

fn quartetOf(codes: u32, group: u32) -> vec4f {
  let scale = unpack2x16float(group);
  return scale.x * vec4f((vec4u(codes) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(255u)) + scale.y;
}

fn keyQuartet(at: u32) -> vec4f {
  return quartetOf(keys[at], keys[FIRST_WORD + at / 8u]);
}

fn valueQuartet(at: u32) -> vec4f {
  return quartetOf(values[at], values[FIRST_WORD + at / 8u]);
}
