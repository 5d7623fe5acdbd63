// Part: groups of 32 values mixed by the orthonormal Hadamard transform, which is its own inverse:
//   y_i = 1 / sqrt(32) * sum over j of (-1)^popcount(i & j) x_j
// An outlier is spread over its group before the group is rounded, so that one scale suits all 32. A wider transform gains
// nothing: of one outlier in a row of 128, its group of 32 has a range of 2 / sqrt(32) of it and the other three have almost
// none; over all 128 every range is 2 / sqrt(128) of it. Both come to the same sum of squared errors, and what is besides the
// outlier speaks for 32 (bench/README.md, ideas tried), which are what a workgroup of qkv.wgsl has.
override HADAMARD_LANES: u32 = 8u; // lanes that hand values over, eight a group

var<workgroup> hadamardFours: array<vec4f, HADAMARD_LANES>;

// Of each group the first lane has values 0 to 3, the next 4 to 7, ... Call it in uniform control flow, and again only after a barrier.
fn hadamard(x: vec4f, lane: u32) -> vec4f {
  let pairs = vec4f(x.x + x.y, x.x - x.y, x.z + x.w, x.z - x.w);
  if (lane < HADAMARD_LANES) {
    hadamardFours[lane] = vec4f(pairs.xy + pairs.zw, pairs.xy - pairs.zw);
  }
  workgroupBarrier();
  let first = lane % HADAMARD_LANES / 8u * 8u;
  var y = vec4f(0.0);
  for (var j = 0u; j < 8u; j++) {
    let four = hadamardFours[first + j];
    y += select(four, -four, countOneBits(lane & j) % 2u == 1u);
  }
  return y * 0.17677669529663687; // 1 / sqrt(32)
}
