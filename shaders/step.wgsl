// Part: where a pass stands in the sequence. Bound as a uniform, so that loops and early returns that depend on it
// are uniform control flow.
struct Step {
  position: u32, // tokens in the KV cache before this pass
  count: u32,    // rows of this pass that are tokens; the recorded pass may have more rows
  padding0: u32,
  padding1: u32,
}
