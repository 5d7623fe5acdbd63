// Part: the vectors that a matrix is multiplied with, one a token, as halves in groups of 32: x[k] = scale * h[k], where scale is a power of
// two and the largest of a group's |h| from 16 to 32. Exports the same names as input_i8.wgsl; store_f16.wgsl writes what is
// read here.
enable f16;

override COLUMNS: u32; // a multiple of 32

// A record for each two groups: 64 h in eight vec4u, then (scale, sum of x) of the first group and of the second as f32. Of
// eight values a vec4u has the pairs (0, 2), (1, 3), (4, 6) and (5, 7), which is how four-bit weights come out of a word.
// Behind the records, of each group the sum of the squares of what the norm is taken of. The second group of a last
// record may be missing: zeros.
@group(0) @binding(0) var<storage, read> input: array<vec4u>;

const RECORD = 9u;
override PAIRS = (COLUMNS + 63u) / 64u;
override VECTOR = PAIRS * RECORD + (COLUMNS / 32u + 3u) / 4u; // of a token, behind which the next one's is

struct Step {
  at: u32,     // the record of the token
  sums: vec4f, // scale, sum, scale, sum
}

fn stepOf(token: u32, pair: u32) -> Step {
  let at = token * VECTOR + pair * RECORD;
  return Step(at, bitcast<vec4f>(input[at + 8u]));
}

fn sumsOf(step: Step) -> vec2f {
  return step.sums.yw;
}

fn squareOf(token: u32, group: u32) -> f32 {
  return bitcast<f32>(input[token * VECTOR + PAIRS * RECORD + group / 4u][group % 4u]);
}
