// The rows of the next pass: of each row, all of which are drawn from, the best token after it in its sequence.
// Links with pages.wgsl and next_row.wgsl. Grid: one workgroup of a lane a row.
@group(0) @binding(0) var<storage, read> best: array<vec2u>; // [MOST_DRAWN]: an id, and its logit's bits

const MOST_DRAWN = 16u;

@compute @workgroup_size(MOST_DRAWN)
fn main(@builtin(local_invocation_index) d: u32) {
  if (d < rows[1]) {
    goOn(d, best[d].x, best[d].y);
  }
}
