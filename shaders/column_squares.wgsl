// sums[k] += sum over t of x[t, k]^2, over the rows of x that are tokens.
// Links with step.wgsl. Grid: ceil(COLUMNS / 256) workgroups of 64 lanes, four columns a lane.
override COLUMNS: u32; // a multiple of 4

@group(0) @binding(0) var<storage, read> x: array<vec4f>;          // [T, COLUMNS / 4]
@group(0) @binding(1) var<storage, read_write> sums: array<vec4f>; // [COLUMNS / 4]
@group(0) @binding(2) var<uniform> step: Step;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let k = id.x;
  if (k >= COLUMNS / 4u) {
    return;
  }
  // The pass is summed first: few small numbers are added to a large one.
  var sum = vec4f(0.0);
  for (var t = 0u; t < step.count; t++) {
    let value = x[t * (COLUMNS / 4u) + k];
    sum += value * value;
  }
  sums[k] += sum;
}
