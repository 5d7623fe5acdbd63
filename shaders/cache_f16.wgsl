// Part: a KV cache stored as f16, two to a u32: no shader-f16 needed. Exports the same names as cache_f32.wgsl.
alias Cached = vec2u; // four consecutive values

// WGSL leaves the packing of what f16 cannot hold open: larger values are clamped to the largest, 65504.
fn toCached(v: vec4f) -> Cached {
  let held = clamp(v, vec4f(-65504.0), vec4f(65504.0));
  return Cached(pack2x16float(held.xy), pack2x16float(held.zw));
}

fn fromCached(c: Cached) -> vec4f {
  return vec4f(unpack2x16float(c.x), unpack2x16float(c.y));
}
