// Part: the turns of a workgroup's lanes over more items than it has lanes. Links with what has LANES lanes.

// The first turn: 0. Where lanes are few the compiler is not to know it, or it unrolls so many turns that it compiles for seconds.
fn firstTurn(lane: u32) -> u32 {
  return select(0u, lane / LANES, LANES < 32u);
}
