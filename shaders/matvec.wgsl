// y[FIRST_ROW + n] = sum over k of weight[n, k] * x[k], or y += that when ACCUMULATE.
// One slab of a matrix of any stored format; links with product.wgsl, a weights_*.wgsl and a reduce_*.wgsl.
// Grid: ceil(ROWS / ROWS_PER_WORKGROUP) workgroups; its lanes walk the columns eight at a time.
@group(0) @binding(0) var<storage, read> x: array<vec4f>; // [COLUMNS / 4]

const ROWS_PER_WORKGROUP = 4u;

@compute @workgroup_size(WORKGROUP)
fn main(@builtin(workgroup_id) workgroup: vec3u, lane: Lane) {
  let first = workgroup.x * ROWS_PER_WORKGROUP;
  // Rows past the end repeat the last one; they are not written.
  let rows = min(vec4u(first, first + 1u, first + 2u, first + 3u), vec4u(ROWS - 1u));
  var sums = vec4f(0.0);
  for (var octet = lane.index; octet < COLUMNS / 8u; octet += WORKGROUP) {
    let low = x[2u * octet];
    let high = x[2u * octet + 1u];
    for (var r = 0u; r < ROWS_PER_WORKGROUP; r++) {
      let w = weights8(rows[r], octet);
      sums[r] += dot(w.low, low) + dot(w.high, high);
    }
  }
  let totals = workgroupSum4(sums, lane);
  let row = first + lane.index;
  if (lane.index < ROWS_PER_WORKGROUP && row < ROWS) {
    put(0u, row, totals[lane.index]);
  }
}
