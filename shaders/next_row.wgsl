// Part: a row of the next pass, after one that was drawn from. The token, its position and its place change, its sequence stays. Behind
// the last position that a sequence may have no page is known, and no pass follows. What was chosen is left for the host too.
// Links with pages.wgsl.
@group(0) @binding(2) var<storage, read_write> chosen: array<vec2u>; // [MOST_DRAWN] ids, and their logits' bits
@group(0) @binding(4) var<storage, read_write> rows: array<u32>;     // HEADER words, of which the second says how many, then the rows

const HEADER = 20u;

fn goOn(d: u32, id: u32, logit: u32) {
  let row = HEADER + 4u * d;
  let position = rows[row + 1u] + 1u;
  rows[row] = id;
  rows[row + 1u] = position;
  rows[row + 3u] = placeOf(rows[row + 2u], position);
  chosen[d] = vec2u(id, logit);
}
