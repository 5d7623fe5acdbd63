// Sums `data` and nothing else: the rate at which the adapter reads memory, against which kernels are measured.
// Grid: any number of workgroups of 256 lanes, which share the data; the write to out, which never comes, keeps the reads alive.
override VECTORS: u32; // vec4u in data
override GROUPS: u32;  // workgroups of the grid

@group(0) @binding(0) var<storage, read> data: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> out: array<u32>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u) {
  var sum = vec4u(0u);
  for (var i = id.x; i < VECTORS; i += GROUPS * 256u) {
    sum += data[i];
  }
  let all = sum.x + sum.y + sum.z + sum.w;
  // Never true for the data of the benchmark, which the compiler cannot know.
  if (all == 0x9e3779b9u) {
    out[0] = all;
  }
}
