// y[t, i] = x[t, i] * weight[i] / sqrt(mean of x[t, :]^2 + EPS)
// Links with step.wgsl and a reduce_*.wgsl. Grid: T workgroups, one a token; with LAST_ONLY one workgroup, which
// takes the last token's row of x and writes row 0 of y.
override DIM: u32; // a multiple of 4
override EPS: f32;
override LAST_ONLY: bool = false;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;       // [T, DIM / 4]
@group(0) @binding(1) var<storage, read> weight: array<vec4f>;  // [DIM / 4]
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>; // [T, DIM / 4]
@group(0) @binding(3) var<uniform> step: Step;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, lane: Lane) {
  let token = select(workgroup.x, step.count - 1u, LAST_ONLY);
  if (token >= step.count) {
    return;
  }
  let source = token * (DIM / 4u);
  let destination = workgroup.x * (DIM / 4u);
  var squares = 0.0;
  for (var i = lane.index; i < DIM / 4u; i += WORKGROUP) {
    squares += dot(x[source + i], x[source + i]);
  }
  let scale = inverseSqrt(workgroupSum(squares, lane) / f32(DIM) + EPS);
  for (var i = lane.index; i < DIM / 4u; i += WORKGROUP) {
    y[destination + i] = x[source + i] * scale * weight[i];
  }
}
