// Part: a KV cache stored as f32, read eight consecutive values at a time. Exports the same names as octet_f16.wgsl.
@group(0) @binding(1) var<storage, read> keys: array<vec4f>;   // [KV_HEADS, CACHED, HEAD_DIM / 4]
@group(0) @binding(2) var<storage, read> values: array<vec4f>; // [KV_HEADS, CACHED, HEAD_DIM / 4]

struct Octet {
  low: vec4f,
  high: vec4f,
}

fn keyOctet(at: u32) -> Octet {
  return Octet(keys[2u * at], keys[2u * at + 1u]);
}

fn valueOctet(at: u32) -> Octet {
  return Octet(values[2u * at], values[2u * at + 1u]);
}
