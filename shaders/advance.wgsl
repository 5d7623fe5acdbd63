// The row of the next pass: the token that this one chose, after it in its sequence. Of the rows, as rows.wgsl has them, there
// is one: the token, its position and its place change, its sequence stays. Behind the last position that a sequence
// may have no page is known, and no pass follows.
// Links with pages.wgsl. Grid: one workgroup of one lane.
@group(0) @binding(0) var<storage, read> best: array<u32>;       // the id of the chosen token comes first
@group(0) @binding(4) var<storage, read_write> rows: array<u32>; // HEADER words, then the row

const HEADER = 20u;

@compute @workgroup_size(1)
fn main() {
  let position = rows[HEADER + 1u] + 1u;
  rows[HEADER] = best[0];
  rows[HEADER + 1u] = position;
  rows[HEADER + 3u] = placeOf(rows[HEADER + 2u], position);
}
