// Part: a KV cache stored as f32. Exports the same names as cache_f16.wgsl.
alias Cached = vec4f; // four consecutive values

fn toCached(v: vec4f) -> Cached {
  return v;
}
