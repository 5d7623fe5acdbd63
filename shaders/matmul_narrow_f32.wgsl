// As matmul.wgsl, for subgroups of 8 lanes: the vector units of a processor, where each lane's read of memory is a read of its own
// and a barrier costs what hundreds of instructions do.
// Links with rows.wgsl, product.wgsl and a weights_*.wgsl. Grid: ceil(T / 8) x ceil(ROWS / 32) workgroups of one subgroup, those beside each
// other with the same rows of the matrix. A lane makes 4 rows for 8 tokens, of which it reads one and hands it round.
enable subgroups;
// Loops end together for all lanes of a subgroup, which the compiler's analysis does not see.
diagnostic(off, subgroup_uniformity);

@group(0) @binding(0) var<storage, read> x: array<vec4f>; // [T, COLUMNS / 4]

const LANES = 8u;
const LANE_ROWS = 4u;
const TOKENS = 8u; // a lane for each

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let firstToken = workgroup.x * TOKENS;
  let count = rows.count;
  if (firstToken >= count) {
    return;
  }
  let row = (workgroup.y * LANES + lane) * LANE_ROWS;
  // Rows past the end, and tokens, repeat the last one; they are not written.
  let own = min(vec4u(row, row + 1u, row + 2u, row + 3u), vec4u(ROWS - 1u));
  let ownX = min(firstToken + lane, count - 1u) * (COLUMNS / 4u);
  var sums: array<vec4f, TOKENS>; // a component per row
  for (var octet = 0u; octet < COLUMNS / 8u; octet++) {
    let low = x[ownX + 2u * octet];
    let high = x[ownX + 2u * octet + 1u];
    let w0 = weights8(own.x, octet);
    let w1 = weights8(own.y, octet);
    let w2 = weights8(own.z, octet);
    let w3 = weights8(own.w, octet);
    for (var t = 0u; t < TOKENS; t++) {
      let a = subgroupShuffle(low, t);
      let b = subgroupShuffle(high, t);
      sums[t] += vec4f(
        dot(a, w0.low) + dot(b, w0.high),
        dot(a, w1.low) + dot(b, w1.high),
        dot(a, w2.low) + dot(b, w2.high),
        dot(a, w3.low) + dot(b, w3.high),
      );
    }
  }
  for (var t = 0u; t < min(TOKENS, count - firstToken); t++) {
    for (var r = 0u; r < LANE_ROWS; r++) {
      if (row + r < ROWS) {
        put(firstToken + t, row + r, sums[t][r]);
      }
    }
  }
}
