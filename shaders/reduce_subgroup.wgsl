// Part: reductions over a workgroup through subgroups of any size from 4 to 128. Exports the same names as
// reduce_workgroup.wgsl. Every lane gets the result. Each function ends with a barrier, so that it may be called
// again at once; call it in uniform control flow only.
enable subgroups;
requires subgroup_id;

override WORKGROUP: u32 = 64u; // lanes of a workgroup, a power of two

struct Lane {
  @builtin(local_invocation_index) index: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(num_subgroups) subgroups: u32,
}

// One slot a subgroup. WGSL lets a subgroup be as small as 4 lanes.
var<workgroup> reduceScratch: array<vec4f, WORKGROUP / 4u>;

fn workgroupSum4(x: vec4f, lane: Lane) -> vec4f {
  let part = subgroupAdd(x);
  if (subgroupElect()) {
    reduceScratch[lane.subgroup] = part;
  }
  workgroupBarrier();
  var sum = vec4f(0.0);
  for (var i = 0u; i < lane.subgroups; i++) {
    sum += reduceScratch[i];
  }
  workgroupBarrier();
  return sum;
}

fn workgroupSum(x: f32, lane: Lane) -> f32 {
  let part = subgroupAdd(x);
  if (subgroupElect()) {
    reduceScratch[lane.subgroup].x = part;
  }
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < lane.subgroups; i++) {
    sum += reduceScratch[i].x;
  }
  workgroupBarrier();
  return sum;
}

fn workgroupMax(x: f32, lane: Lane) -> f32 {
  let part = subgroupMax(x);
  if (subgroupElect()) {
    reduceScratch[lane.subgroup].x = part;
  }
  workgroupBarrier();
  var largest = reduceScratch[0].x;
  for (var i = 1u; i < lane.subgroups; i++) {
    largest = max(largest, reduceScratch[i].x);
  }
  workgroupBarrier();
  return largest;
}
