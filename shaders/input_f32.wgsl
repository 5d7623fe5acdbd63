// Part: the vectors that a matrix is multiplied with, one a token, as f32. Exports the same names as input_i8.wgsl, but for COLUMNS,
// with which it links; store_f32.wgsl writes what is read here.

// A record for each two groups of 32: 64 x in sixteen vec4f, then the sums of x of the first group and of the second, and
// two that nobody reads. Behind the records, of each group the sum of the squares of what the norm is taken of. The second
// group of a last record may be missing: zeros.
@group(0) @binding(0) var<storage, read> input: array<vec4f>;

const RECORD = 17u;
override PAIRS = (COLUMNS + 63u) / 64u;
override VECTOR = PAIRS * RECORD + (COLUMNS / 32u + 3u) / 4u; // of a token, behind which the next one's is

struct Step {
  at: u32,     // the record of the token
  sums: vec2f, // of each group
}

fn stepOf(token: u32, pair: u32) -> Step {
  let at = token * VECTOR + pair * RECORD;
  return Step(at, input[at + 16u].xy);
}

fn sumsOf(step: Step) -> vec2f {
  return step.sums;
}

fn squareOf(token: u32, group: u32) -> f32 {
  return input[token * VECTOR + PAIRS * RECORD + group / 4u][group % 4u];
}
