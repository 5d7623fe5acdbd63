// Part: what attention sums up, of values as they are. Exports the same name as merged_mixed.wgsl.
fn merged(y: f32, lane: u32) -> f32 {
  return y;
}
