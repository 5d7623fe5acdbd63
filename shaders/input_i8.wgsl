// Part: the vectors that a matrix is multiplied with, one a token, as 8-bit groups of 32: x[k] = scale * q[k], q in [-127, 127]. Every
// input_*.wgsl exports Step, stepOf and squareOf; store_i8.wgsl writes what is read here.
requires packed_4x8_integer_dot_product;

override COLUMNS: u32; // a multiple of 32

// A record for each two groups: 64 q in four vec4u, then (scale, sum of x) of the first group and of the second as f32.
// Behind the records, of each group the sum of the squares of what the norm is taken of. The second group of a last
// record may be missing: zeros.
@group(0) @binding(0) var<storage, read> input: array<vec4u>;

const RECORD = 5u;
override PAIRS = (COLUMNS + 63u) / 64u;
override VECTOR = PAIRS * RECORD + (COLUMNS / 32u + 3u) / 4u; // of a token, behind which the next one's is

struct Step {
  first: array<vec4u, 2>,
  second: array<vec4u, 2>,
  sums: vec4f, // scale, sum, scale, sum
}

fn stepOf(token: u32, pair: u32) -> Step {
  let at = token * VECTOR + pair * RECORD;
  return Step(
    array(input[at], input[at + 1u]),
    array(input[at + 2u], input[at + 3u]),
    bitcast<vec4f>(input[at + 4u]),
  );
}

fn sumsOf(step: Step) -> vec2f {
  return step.sums.yw;
}

fn squareOf(token: u32, group: u32) -> f32 {
  return bitcast<f32>(input[token * VECTOR + PAIRS * RECORD + group / 4u][group % 4u]);
}
