// Part: what attention sums up, of values that were mixed in groups of 32, mixed back. Links with hadamard.wgsl. Exports the
// same name as merged_plain.wgsl.
var<workgroup> mergedTile: array<f32, 32>;

// Lane i < 32 has value i of a group, the others whatever. Call it in uniform control flow, and again only after a barrier.
fn merged(y: f32, lane: u32) -> f32 {
  if (lane < 32u) {
    mergedTile[lane] = y;
  }
  workgroupBarrier();
  let first = 4u * (lane % 8u);
  let four = vec4f(mergedTile[first], mergedTile[first + 1u], mergedTile[first + 2u], mergedTile[first + 3u]);
  let back = hadamard(four, lane);
  if (lane < 8u) {
    for (var i = 0u; i < 4u; i++) {
      mergedTile[first + i] = back[i];
    }
  }
  workgroupBarrier();
  return mergedTile[lane % 32u];
}
