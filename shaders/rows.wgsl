// Part: the rows of a pass, each a token at its place in its sequence. Read-only storage, so that loops and early
// returns that depend on it are uniform control flow.
struct Row {
  token: u32,
  position: u32, // in its sequence
  sequence: u32, // its line in the page table
  place: u32,    // of its keys and values in the cache
}

const MOST_DRAWN = 16u;

struct Rows {
  count: u32, // rows that are tokens; the recorded pass may have more
  drawnCount: u32, // rows whose logits are asked for
  padding0: u32,
  padding1: u32,
  drawn: array<vec4u, MOST_DRAWN / 4u>, // which those are
  row: array<Row>, // [T]; rows of one sequence stand together, by rising position
}

@group(0) @binding(4) var<storage, read> rows: Rows;
