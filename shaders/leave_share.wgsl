// Part: what a split of attention_split.wgsl leaves for attention_merge.wgsl.
// [T, HEADS, SPLITS, HEAD_DIM / 4 + 1]: the sums of values, then largest and the sum of weights
@group(0) @binding(3) var<storage, read_write> parts: array<vec4f>;

// Lane i < HEAD_DIM / 8 has the sums of columns 8 i to 8 i + 7. Every leave_*.wgsl exports this.
fn leave(token: u32, head: u32, split: u32, low: vec4f, high: vec4f, largest: f32, total: f32, lane: u32) {
  let quarter = HEAD_DIM / 4u;
  let into = ((token * HEADS + head) * SPLITS + split) * (quarter + 1u);
  if (lane < quarter / 2u) {
    parts[into + 2u * lane] = low;
    parts[into + 2u * lane + 1u] = high;
  }
  if (lane == 0u) {
    parts[into + quarter] = vec4f(largest, total, 0.0, 0.0);
  }
}
