// y[t, FIRST_ROW + n] = sum over k of weight[n, k] * x[t, k], or y += that when ACCUMULATE, for one slab of a matrix and x as
// quads (quantise.wgsl).
// Links with rows.wgsl, product.wgsl, input_i8.wgsl, narrow.wgsl, a dot_*_narrow.wgsl, tokens_8.wgsl, few_quads.wgsl and
// gemv_narrow_few.wgsl. Grid: ceil(T / 8) x ceil(ROWS / 64) workgroups of one subgroup, those beside each other with the same rows of the
// matrix.

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(subgroup_invocation_id) lane: u32) {
  let firstToken = workgroup.x * TOKENS;
  if (firstToken >= rows.count) {
    return;
  }
  let first = workgroup.y * 64u;
  // Rows past the end repeat the last one; they are not put anywhere.
  let own = vec4u(first + slotOf(lane)) + vec4u(0u, 1u, 2u, 3u);
  let last = vec4u(ROWS - 1u);
  multiplyGroups(firstToken, min(own, last), min(own + 32u, last), lane);
  let count = min(TOKENS, rows.count - firstToken);
  for (var half = 0u; half < 2u; half++) {
    for (var i = lane; i < 32u * count; i += LANES) { // [token, slot]
      let row = first + 32u * half + i % 32u;
      if (row < ROWS) {
        put(firstToken + i / 32u, row, products[32u * TOKENS * half + i]);
      }
    }
  }
}
