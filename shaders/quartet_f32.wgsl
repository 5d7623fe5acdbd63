// Part: a KV cache stored as f32, read four consecutive values at a time. Exports the same names as quartet_f16.wgsl.
@group(0) @binding(1) var<storage, read> keys: array<vec4f>;   // [KV_HEADS, CACHED, HEAD_DIM / 4]
@group(0) @binding(2) var<storage, read> values: array<vec4f>; // [KV_HEADS, CACHED, HEAD_DIM / 4]

fn keyQuartet(at: u32) -> vec4f {
  return keys[at];
}

fn valueQuartet(at: u32) -> vec4f {
  return values[at];
}
