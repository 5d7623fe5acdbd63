// Part: a KV cache stored as f16, read four consecutive values at a time: no shader-f16 needed. Every quartet_*.wgsl exports
// keyQuartet and valueQuartet.
@group(0) @binding(1) var<storage, read> keys: array<vec2u>;   // [KV_HEADS, CACHED, HEAD_DIM / 4]
@group(0) @binding(2) var<storage, read> values: array<vec2u>; // [KV_HEADS, CACHED, HEAD_DIM / 4]

fn keyQuartet(at: u32) -> vec4f {
  let words = keys[at];
  return vec4f(unpack2x16float(words.x), unpack2x16float(words.y));
}

fn valueQuartet(at: u32) -> vec4f {
  let words = values[at];
  return vec4f(unpack2x16float(words.x), unpack2x16float(words.y));
}
