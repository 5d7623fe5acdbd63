// y[t, i] = x[t, i] * weight[i] / sqrt(mean of x[t, :]^2 + EPS)
// Links with rows.wgsl and a reduce_*.wgsl. Grid: T workgroups, one a row.
override DIM: u32; // a multiple of 4
override EPS: f32;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;       // [T, DIM / 4]
@group(0) @binding(1) var<storage, read> weight: array<vec4f>;  // [DIM / 4]
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>; // [T, DIM / 4]

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, lane: Lane) {
  let t = workgroup.x;
  if (t >= rows.count) {
    return;
  }
  let row = t * (DIM / 4u);
  var squares = 0.0;
  for (var i = lane.index; i < DIM / 4u; i += WORKGROUP) {
    squares += dot(x[row + i], x[row + i]);
  }
  let scale = inverseSqrt(workgroupSum(squares, lane) / f32(DIM) + EPS);
  for (var i = lane.index; i < DIM / 4u; i += WORKGROUP) {
    y[row + i] = x[row + i] * scale * weight[i];
  }
}
