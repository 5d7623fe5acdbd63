// Part: a KV cache stored as f16, two to a u32: no shader-f16 needed. Exports the same names as cache_f32.wgsl.
alias Cached = vec2u; // four consecutive values

// WGSL leaves the packing of what f16 cannot hold open: larger values are clamped to the largest, 65504. Infinity and
// NaN become NaN by their bits, for clamp may make a number of them, and what went wrong has to show in the logits.
fn toCached(v: vec4f) -> Cached {
  let held = clamp(v, vec4f(-65504.0), vec4f(65504.0));
  let isFinite = (bitcast<vec4u>(v) & vec4u(0x7fffffffu)) < vec4u(0x7f800000u);
  let nan = select(vec4u(0x7e00u), vec4u(0u), isFinite);
  return Cached(pack2x16float(held.xy) | nan.x | (nan.y << 16u), pack2x16float(held.zw) | nan.z | (nan.w << 16u));
}

fn fromCached(c: Cached) -> vec4f {
  return vec4f(unpack2x16float(c.x), unpack2x16float(c.y));
}
