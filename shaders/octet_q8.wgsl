// Part: a KV cache stored as q8, read eight consecutive values at a time. Exports the same names as octet_f16.wgsl.
@group(0) @binding(1) var<storage, read> keys: array<vec2u>;   // [KV_HEADS, CACHED, HEAD_DIM / 8] codes, then two groups' words each
@group(0) @binding(2) var<storage, read> values: array<vec2u>; // likewise

override FIRST_WORDS = KV_HEADS * CACHED * (HEAD_DIM / 8u);

struct Octet {
  low: vec4f,
  high: vec4f,
}

// 1024 + q of the bytes in bits 0 to 7 and 16 to 23, by their places in the mantissas of halves: see dot_q4_f32.wgsl.
fn lift(codes: u32) -> vec2f {
  return unpack2x16float((codes & 0x00ff00ffu) | 0x64006400u);
}

fn octetOf(codes: vec2u, group: u32) -> Octet {
  let scale = unpack2x16float(group);
  let least = scale.y - 1024.0 * scale.x;
  let a = lift(codes.x); // values 0 and 2
  let b = lift(codes.x >> 8u);
  let c = lift(codes.y);
  let d = lift(codes.y >> 8u);
  return Octet(
    fma(vec4f(a.x, b.x, a.y, b.y), vec4f(scale.x), vec4f(least)),
    fma(vec4f(c.x, d.x, c.y, d.y), vec4f(scale.x), vec4f(least)),
  );
}

fn keyOctet(at: u32) -> Octet {
  let groups = keys[FIRST_WORDS + at / 8u];
  return octetOf(keys[at], select(groups.x, groups.y, at / 4u % 2u == 1u));
}

fn valueOctet(at: u32) -> Octet {
  let groups = values[FIRST_WORDS + at / 8u];
  return octetOf(values[at], select(groups.x, groups.y, at / 4u % 2u == 1u));
}
