// Part: as gemv_narrow_few.wgsl, of 1, 2, 4 or 8 tokens, in f32. Links with a weights_*.wgsl, input_f32.wgsl and a tokens_*.wgsl.
enable subgroups;
// Loops end together for all lanes of a subgroup, which the compiler's analysis does not see.
diagnostic(off, subgroup_uniformity);

const LANES = 8u;

var<workgroup> products: array<f32, 2u * TOKENS * 32u>; // [half, token, slot]: what multiply() leaves

// The first of the four rows that a lane does.
fn slotOf(lane: u32) -> u32 {
  return 4u * lane;
}

struct Own {
  low: vec4f,
  high: vec4f,
}

// What a lane reads of eight columns from `at` on, for all: of one token one of them, of several tokens one's.
fn ownOf(at: u32, lane: u32) -> Own {
  if (TOKENS == 1u) {
    return Own(vec4f(input[at + lane / 4u][lane % 4u]), vec4f());
  }
  let token = min(lane, TOKENS - 1u) * VECTOR;
  return Own(input[at + token], input[at + token + 1u]);
}

// A token's columns, handed round.
fn columnsOf(own: Own, t: u32) -> Own {
  if (TOKENS > 1u) {
    return Own(subgroupShuffle(own.low, t), subgroupShuffle(own.high, t));
  }
  let x = own.low.x;
  return Own(
    vec4f(subgroupShuffle(x, 0u), subgroupShuffle(x, 1u), subgroupShuffle(x, 2u), subgroupShuffle(x, 3u)),
    vec4f(subgroupShuffle(x, 4u), subgroupShuffle(x, 5u), subgroupShuffle(x, 6u), subgroupShuffle(x, 7u)),
  );
}

// As gemv.wgsl has it.
fn multiply(firstToken: u32, rows: vec4u, half: u32, lane: u32) {
  var sums: array<vec4f, TOKENS>; // a component per row
  // Eight columns a step: more were more code than a processor keeps decoded.
  for (var octet = 0u; octet < COLUMNS / 8u; octet++) {
    let own = ownOf(firstToken * VECTOR + octet / 8u * RECORD + 2u * (octet % 8u), lane);
    let w0 = weights8(rows.x, octet);
    let w1 = weights8(rows.y, octet);
    let w2 = weights8(rows.z, octet);
    let w3 = weights8(rows.w, octet);
    for (var t = 0u; t < TOKENS; t++) {
      let x = columnsOf(own, t);
      sums[t] += vec4f(
        dot(x.low, w0.low) + dot(x.high, w0.high),
        dot(x.low, w1.low) + dot(x.high, w1.high),
        dot(x.low, w2.low) + dot(x.high, w2.high),
        dot(x.low, w3.low) + dot(x.high, w3.high),
      );
    }
  }
  for (var t = 0u; t < TOKENS; t++) {
    for (var r = 0u; r < 4u; r++) {
      products[(half * TOKENS + t) * 32u + 4u * lane + r] = sums[t][r];
    }
  }
  workgroupBarrier();
}
