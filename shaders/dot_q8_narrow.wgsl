// Part: 64 weights of a row of eight bits times 64 activations of eight, two products a multiplication. Links with
// gemv_narrow.wgsl; exports the same names as dot_q4_narrow.wgsl.
@group(0) @binding(1) var<storage, read> weight: array<vec4u>; // [rows, COLUMNS / 16]
@group(0) @binding(2) var<storage, read> scales: array<u32>;   // [rows, PAIRS], two f16 each

// Where a row's words and scales begin.
fn rowStart(row: u32) -> vec2u {
  return vec2u(row * (COLUMNS / 16u), row * PAIRS);
}

// Those of 256 columns; behind a row's last pair, whatever is there.
fn scalesOf(start: vec2u, block: u32) -> vec4u {
  let at = start.y + 4u * block;
  return vec4u(scales[at], scales[at + 1u], scales[at + 2u], scales[at + 3u]);
}

// Four weights times four activations. Two products are at most 2 * 127 * 127, so that no more go into one sum.
fn dotWord(word: u32, x: u32) -> i32 {
  return upperOf(evenPair(word) * evenPair(x)) + upperOf(oddPair(word) * oddPair(x));
}

fn dotGroup(at: u32, x: array<vec4u, 2>) -> f32 {
  let a = weight[at];
  let b = weight[at + 1u];
  return f32(
    dotWord(a.x, x[0].x) + dotWord(a.y, x[0].y) + dotWord(a.z, x[0].z) + dotWord(a.w, x[0].w) +
    dotWord(b.x, x[1].x) + dotWord(b.y, x[1].y) + dotWord(b.z, x[1].z) + dotWord(b.w, x[1].w)
  );
}

// The row's columns 64 * pair to 64 * pair + 63 times the step's. A group past the last column has the scale 0.
fn dotPair(start: vec2u, pair: u32, block: vec4u, step: Step) -> f32 {
  let scale = unpack2x16float(block[pair % 4u]);
  let at = start.x + 4u * pair;
  return scale.x * (step.sums.x * dotGroup(at, step.first)) + scale.y * (step.sums.z * dotGroup(at + 2u, step.second));
}
