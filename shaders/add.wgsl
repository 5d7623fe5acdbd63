// x[t, FIRST_ROW + n] += sum over k of weight[n, k] * input[t, k], and of the new x, times the weight of the norm that comes next, the
// input of the matrices behind it.
// Links with an input_*.wgsl, a dot_*.wgsl, a gemv*.wgsl, a tokens_*.wgsl, turns.wgsl and a store_*.wgsl. Grid: TILES workgroups for
// each GROUPS times 32 rows of the slab, or what is left of them: a multiple of 32.
override ROWS: u32;      // rows of this slab
override FIRST_ROW: u32; // where the slab begins in the whole matrix
override ROUNDS = (32u * TOKENS + LANES - 1u) / LANES;

@group(0) @binding(3) var<storage, read_write> x: array<f32>; // [T, all rows]
@group(0) @binding(5) var<storage, read> norm: array<f32>;    // [all rows]

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let first = workgroup.x / TILES * (32u * GROUPS);
  let firstToken = workgroup.x % TILES * TOKENS;
  let rows = vec4u(first + slotOf(lane)) + vec4u(0u, 1u, 2u, 3u);
  // A group past the end repeats the last row; it is not written.
  multiplyGroups(firstToken, rows, min(rows + 32u, vec4u(ROWS - 1u)), lane);
  for (var group = 0u; group < GROUPS; group++) {
    // Asked of two groups only: as a condition of the loop it made NVIDIA's compiler unroll what comes before, to 56 kB.
    if (GROUPS > 1u && first + 32u * group >= ROWS) {
      break;
    }
    let start = FIRST_ROW + first + 32u * group;
    for (var turn = firstTurn(lane); turn < ROUNDS; turn++) {
      let i = turn * LANES + lane;
      if (i < 32u * TOKENS) {
        let row = start + i % 32u;
        let at = (firstToken + i / 32u) * STORED_COLUMNS + row;
        let sum = x[at] + products[32u * TOKENS * group + i];
        x[at] = sum;
        handOver(i, sum * norm[row], sum * sum);
      }
    }
    storeGroups(firstToken, start / 32u, lane);
  }
}
