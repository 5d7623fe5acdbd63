// Of each drawn row's logits those that its marks name: seen tokens' are multiplied, suppressed ones' are -infinity. The row's own
// token becomes a seen one, so that a run ahead goes on by itself. Penalty of Keskar et al. (CTRL, 2019).
// Links with rows.wgsl. Grid: x a workgroup for LANES ids; y the d-th row whose logits are asked for.
override VOCAB: u32; // logits of a row
override WORDS: u32; // of a set of ids, a bit each

@group(0) @binding(0) var<storage, read_write> logits: array<u32>; // [MOST_DRAWN, VOCAB], the bits of f32
// [MOST_DRAWN, 2 + 2 * WORDS]: what negative logits are multiplied by, and what others are, the bits of f32; ids that were seen; ids
// that are suppressed. Atomic, since one lane adds the row's token to a word that its neighbours read.
@group(0) @binding(1) var<storage, read_write> marks: array<atomic<u32>>;

const LANES = 256u;

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) lane: vec3u) {
  let id = lane.x;
  let d = lane.y;
  if (d >= rows.drawnCount || id >= VOCAB) {
    return;
  }
  let factors = d * (2u + 2u * WORDS);
  let word = factors + 2u + id / 32u;
  let bit = 1u << (id % 32u);
  let isOwn = id == rows.row[rows.drawn[d / 4u][d % 4u]].token;
  if (isOwn) {
    atomicOr(&marks[word], bit);
  }
  let at = d * VOCAB + id;
  if ((atomicLoad(&marks[word + WORDS]) & bit) != 0u) {
    logits[at] = 0xff800000u; // -infinity
    return;
  }
  let logit = logits[at];
  let isFinite = (logit & 0x7f800000u) != 0x7f800000u; // what is not is left to be told of
  if (isFinite && (isOwn || (atomicLoad(&marks[word]) & bit) != 0u)) {
    let factor = bitcast<f32>(atomicLoad(&marks[factors + select(1u, 0u, logit > 0x80000000u)]));
    logits[at] = bitcast<u32>(bitcast<f32>(logit) * factor);
  }
}
