// Part: reductions over a workgroup through workgroup memory. Exports the same names as reduce_subgroup.wgsl.
// Every lane gets the result. Each function ends with a barrier, so that it may be called again at once; call it in
// uniform control flow only.
override WORKGROUP: u32 = 64u; // lanes of a workgroup, a power of two

struct Lane {
  @builtin(local_invocation_index) index: u32,
}

var<workgroup> reduceScratch: array<vec4f, WORKGROUP>;

fn workgroupSum4(x: vec4f, lane: Lane) -> vec4f {
  reduceScratch[lane.index] = x;
  workgroupBarrier();
  for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
    if (lane.index < stride) {
      reduceScratch[lane.index] += reduceScratch[lane.index + stride];
    }
    workgroupBarrier();
  }
  let sum = reduceScratch[0];
  workgroupBarrier();
  return sum;
}

fn workgroupSum(x: f32, lane: Lane) -> f32 {
  return workgroupSum4(vec4f(x, 0.0, 0.0, 0.0), lane).x;
}

fn workgroupMax(x: f32, lane: Lane) -> f32 {
  reduceScratch[lane.index].x = x;
  workgroupBarrier();
  for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
    if (lane.index < stride) {
      reduceScratch[lane.index].x = max(reduceScratch[lane.index].x, reduceScratch[lane.index + stride].x);
    }
    workgroupBarrier();
  }
  let largest = reduceScratch[0].x;
  workgroupBarrier();
  return largest;
}
