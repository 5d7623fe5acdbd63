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

// What sums of such products have in their upper bits. Both parts of the sum are within [-2^15, 2^15).
fn upperOf(sum: u32) -> i32 {
  return bitcast<i32>(sum + 0x8000u) >> 16u;
}

// 64 activations as swapped pairs: of word w of the record's vec4u i, even[i][w] and odd[i][w].
struct Pairs {
  even: array<vec4u, 4>,
  odd: array<vec4u, 4>,
  sums: vec4f, // scale, sum, scale, sum
}

// What lanes 0 to 3 of the subgroup have of a record, swapped. A shuffle is one instruction there, a broadcast may be three.
fn pairsOfLower(swapped: vec4u, sums: vec4f) -> Pairs {
  let even = evenPairs(swapped);
  let odd = oddPairs(swapped);
  return Pairs(
    array(subgroupShuffle(even, 0u), subgroupShuffle(even, 1u), subgroupShuffle(even, 2u), subgroupShuffle(even, 3u)),
    array(subgroupShuffle(odd, 0u), subgroupShuffle(odd, 1u), subgroupShuffle(odd, 2u), subgroupShuffle(odd, 3u)),
    sums,
  );
}

// What lanes 4 to 7 have.
fn pairsOfUpper(swapped: vec4u, sums: vec4f) -> Pairs {
  let even = evenPairs(swapped);
  let odd = oddPairs(swapped);
  return Pairs(
    array(subgroupShuffle(even, 4u), subgroupShuffle(even, 5u), subgroupShuffle(even, 6u), subgroupShuffle(even, 7u)),
    array(subgroupShuffle(odd, 4u), subgroupShuffle(odd, 5u), subgroupShuffle(odd, 6u), subgroupShuffle(odd, 7u)),
    sums,
  );
}
