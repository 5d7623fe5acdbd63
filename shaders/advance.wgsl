// The rows of the next pass: of each row, all of which are drawn from, the token that was chosen, after it in its sequence. The token,
// its position and its place change, its sequence stays. Behind the last position that a sequence may have no page is known, and no
// pass follows. What was chosen is left for the host too.
// Links with pages.wgsl. Grid: one workgroup of a lane a row.
override STRIDE: u32; // words of a row in `best`

@group(0) @binding(0) var<storage, read> best: array<u32>;           // [MOST_DRAWN, STRIDE]: an id and its logit come first
@group(0) @binding(1) var<storage, read_write> chosen: array<vec2u>; // [MOST_DRAWN]
@group(0) @binding(4) var<storage, read_write> rows: array<u32>;     // HEADER words, of which the second says how many, then the rows

const HEADER = 20u;
const MOST_DRAWN = 16u;

@compute @workgroup_size(MOST_DRAWN)
fn main(@builtin(local_invocation_index) d: u32) {
  if (d >= rows[1]) {
    return;
  }
  let row = HEADER + 4u * d;
  let position = rows[row + 1u] + 1u;
  let id = best[d * STRIDE];
  rows[row] = id;
  rows[row + 1u] = position;
  rows[row + 3u] = placeOf(rows[row + 2u], position);
  chosen[d] = vec2u(id, best[d * STRIDE + 1u]);
}
