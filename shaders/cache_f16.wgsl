// Part: a KV cache stored as f16, two to a u32: no shader-f16 needed. Exports the same names as cache_f32.wgsl.
alias Cached = vec2u; // four consecutive values

// What rounds to more than the largest half, 65504, and what is no number become NaN, by their bits: WGSL leaves their
// packing open, clamp may make a number of NaN, and what went wrong has to show in the logits.
fn toCached(v: vec4f) -> Cached {
  let held = clamp(v, vec4f(-65504.0), vec4f(65504.0));
  let fits = (bitcast<vec4u>(v) & vec4u(0x7fffffffu)) < vec4u(0x477ff000u); // the bits of 65520
  let nan = select(vec4u(0x7e00u), vec4u(0u), fits);
  return Cached(pack2x16float(held.xy) | nan.x | (nan.y << 16u), pack2x16float(held.zw) | nan.z | (nan.w << 16u));
}
