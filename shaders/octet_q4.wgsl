// Part: a KV cache stored as q4, read eight consecutive values at a time. Exports the same names as octet_f16.wgsl.
@group(0) @binding(1) var<storage, read> keys: array<u32>;   // [KV_HEADS, CACHED, HEAD_DIM / 8] codes, then each group's word
@group(0) @binding(2) var<storage, read> values: array<u32>; // likewise

override FIRST_WORD = KV_HEADS * CACHED * (HEAD_DIM / 8u);

struct Octet {
  low: vec4f,
  high: vec4f,
}

// 64 + q of the nibbles in bits 4 to 7 and 20 to 23, by their places in the mantissas of halves: see dot_q4_f32.wgsl.
fn lift(codes: u32) -> vec2f {
  return unpack2x16float((codes & 0x00f000f0u) | 0x54005400u);
}

fn octetOf(codes: u32, group: u32) -> Octet {
  let scale = unpack2x16float(group);
  let least = scale.y - 64.0 * scale.x;
  let a = lift(codes << 4u); // values 0 and 4
  let b = lift(codes);
  let c = lift(codes >> 4u);
  let d = lift(codes >> 8u);
  return Octet(
    fma(vec4f(a.x, b.x, c.x, d.x), vec4f(scale.x), vec4f(least)),
    fma(vec4f(a.y, b.y, c.y, d.y), vec4f(scale.x), vec4f(least)),
  );
}

fn keyOctet(at: u32) -> Octet {
  return octetOf(keys[at], keys[FIRST_WORD + at / 4u]);
}

fn valueOctet(at: u32) -> Octet {
  return octetOf(values[at], values[FIRST_WORD + at / 4u]);
}
