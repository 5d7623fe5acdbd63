// Part: products of 8-bit activations on subgroups of 8 lanes: the vector units of a processor, where each lane's read of memory
// is a read of its own and neighbours gain nothing. So a lane walks rows of the matrix alone, each a stream of words, and what all
// lanes need of the input one of them reads and hands round. Links with input_i8.wgsl; a dot_*_narrow.wgsl links with this.
enable subgroups;
// Loops end together for all lanes of a subgroup, which the compiler's analysis does not see.
diagnostic(off, subgroup_uniformity);

override BLOCKS = (COLUMNS + 255u) / 256u;

// There may be no packed dot product: two products are one multiplication. Of a pair a + 2^16 b and a swapped one y + 2^16 x,
// bits 16 to 31 of the product are a x + b y, and the lower ones a y, signed.

// Bytes 0 and 2 of each word, signed, as a pair.
fn evenPairs(bytes: vec4u) -> vec4u {
  return ((bytes & vec4u(0x00ff00ffu)) ^ vec4u(0x00800080u)) - vec4u(0x00800080u);
}

// Bytes 1 and 3.
fn oddPairs(bytes: vec4u) -> vec4u {
  return evenPairs(bytes >> vec4u(8u));
}

fn swapHalves(words: vec4u) -> vec4u {
  return (words >> vec4u(16u)) | (words << vec4u(16u));
}

// What sums of such products have in their upper bits. Both parts of a sum are within [-2^15, 2^15).
fn upperOf(sum: vec4u) -> vec4i {
  return bitcast<vec4i>(sum + vec4u(0x8000u)) >> vec4u(16u);
}

// 64 activations of each of four tokens, a component a token: of word w of the record's vec4u i, swapped, even[i][w] and
// odd[i][w] are its pairs. A word of the matrix is unpacked once for four tokens that way; components nobody asks for are no code.
struct Four {
  even: array<array<vec4u, 4>, 4>,
  odd: array<array<vec4u, 4>, 4>,
  groups: array<vec4f, 4>, // scale, sum, scale, sum
}

// Those of eight tokens, or of what there are of them.
struct Activations {
  first: Four,
  later: Four,
}

// Word w of each of four tokens as the vector w, a component a token.
fn transposed(a: vec4u, b: vec4u, c: vec4u, d: vec4u) -> array<vec4u, 4> {
  return array(
    vec4u(a.x, b.x, c.x, d.x), vec4u(a.y, b.y, c.y, d.y), vec4u(a.z, b.z, c.z, d.z), vec4u(a.w, b.w, c.w, d.w),
  );
}

// What lanes i and i + 4 of the subgroup have. A shuffle is one instruction there, a broadcast may be three.
fn handedRound(lower: vec4u, upper: vec4u, i: u32) -> array<vec4u, 4> {
  return transposed(
    subgroupShuffle(lower, i), subgroupShuffle(lower, i + 4u), subgroupShuffle(upper, i), subgroupShuffle(upper, i + 4u),
  );
}

fn allHandedRound(lower: vec4u, upper: vec4u) -> array<array<vec4u, 4>, 4> {
  return array(
    handedRound(lower, upper, 0u), handedRound(lower, upper, 1u), handedRound(lower, upper, 2u), handedRound(lower, upper, 3u),
  );
}

// Of records whose words lanes 0 to 3 have in `lower` for a first token, lanes 4 to 7 for a second one, and of a third and fourth in
// `upper`; lane `first` has what the first token's groups are scaled by, and the lanes behind it that of the others.
fn fourOf(lower: vec4u, upper: vec4u, groups: vec4u, first: u32) -> Four {
  let low = swapHalves(lower);
  let up = swapHalves(upper);
  let scales = transposed(
    subgroupShuffle(groups, first),
    subgroupShuffle(groups, first + 1u),
    subgroupShuffle(groups, first + 2u),
    subgroupShuffle(groups, first + 3u),
  );
  return Four(
    allHandedRound(evenPairs(low), evenPairs(up)),
    allHandedRound(oddPairs(low), oddPairs(up)),
    array(bitcast<vec4f>(scales[0]), bitcast<vec4f>(scales[1]), bitcast<vec4f>(scales[2]), bitcast<vec4f>(scales[3])),
  );
}
