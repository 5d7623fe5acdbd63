// Part: 64 weights of a row of four bits times 64 activations of each of TOKENS tokens. Links with an input_*.wgsl and the
// dot_q4_*.wgsl of the same arithmetic, which has dotGroups. Every dot_*.wgsl of a format exports Place, placeOf, startsOf,
// dotPair and settled.
@group(0) @binding(1) var<storage, read> weight: array<vec4u>; // [rows, COLUMNS / 32], a vec4u a group
@group(0) @binding(2) var<storage, read> scales: array<vec4u>; // [rows, super-blocks of 256 columns]

override SUPERBLOCKS = (COLUMNS + 255u) / 256u;

// Where a row's words and scales begin.
fn startOf(row: u32) -> vec2u {
  return vec2u(row * (COLUMNS / 32u), row * SUPERBLOCKS);
}

// Where those of four rows that follow one another begin: by constants from the first, so that what is added to all is added once.
fn startsOf(rows: vec4u) -> array<vec2u, 4> {
  let first = startOf(rows.x);
  return array(first, first + startOf(1u), first + startOf(2u), first + startOf(3u));
}

// What a lane needs whose pairs are all the same one of the four of their super-blocks. Of the block's words the byte that is the
// pair's stays where it is, 2^(8 * (pair % 4)) times as large.
struct Place {
  code: u32, // the six bits of a scale or minimum
  high: u32, // the other two
  low: u32,  // and these, four bits lower
}

fn placeOf(own: u32) -> Place {
  let shift = 8u * (own % 4u);
  return Place(0x3fu << shift, 0xc0u << shift, 0x0cu << shift);
}

// A lane's sum of what dotPair gave, as large as it should be.
fn settled(sum: f32, own: u32) -> f32 {
  return sum * bitcast<f32>((127u - 8u * (own % 4u)) << 23u);
}

// `sums` and the row's columns 64 * pair to 64 * pair + 63 times each step's. Groups past the last column have the scale and minimum
// 0, whatever their words are.
fn dotPair(start: vec2u, pair: u32, place: Place, steps: Steps, sums: Dots) -> Dots {
  let block = scales[start.y + pair / 4u];
  let d = unpack2x16float(block.x);
  let a = weight[start.x + 2u * pair];
  let b = weight[start.x + 2u * pair + 1u];
  // Of each word six bits of scale, minimum and scale, and three times two of a minimum, here four times as large.
  let codes = vec3f(block.yzw & vec3u(place.code));
  let minimum = f32((block.w & place.high) | ((block.z & place.high) >> 2u) | ((block.y >> 4u) & place.low));
  var dots: Dots;
  for (var t = 0u; t < TOKENS; t++) {
    let groups = dotGroups(a, b, place, steps[t]);
    let xs = sumsOf(steps[t]);
    // Said as fused products, which no compiler adds in another order for another number of tokens.
    let minima = fma(codes.y, xs.x, minimum * (0.25 * xs.y));
    dots[t] = fma(-d.y, minima, fma(d.x, fma(codes.x, groups.x, codes.z * groups.y), sums[t]));
  }
  return dots;
}
