// Part: a KV cache stored as f16, read eight consecutive values at a time. Exports the same names as octet_f32.wgsl.
@group(0) @binding(1) var<storage, read> keys: array<vec4u>;   // [KV_HEADS, CACHED, HEAD_DIM / 8]
@group(0) @binding(2) var<storage, read> values: array<vec4u>; // [KV_HEADS, CACHED, HEAD_DIM / 8]

struct Octet {
  low: vec4f,
  high: vec4f,
}

fn octetOf(words: vec4u) -> Octet {
  return Octet(
    vec4f(unpack2x16float(words.x), unpack2x16float(words.y)),
    vec4f(unpack2x16float(words.z), unpack2x16float(words.w)),
  );
}

fn keyOctet(at: u32) -> Octet {
  return octetOf(keys[at]);
}

fn valueOctet(at: u32) -> Octet {
  return octetOf(values[at]);
}
