// Part: as gemv.wgsl, for subgroups of 8 lanes: the vector units of a processor, where each lane's read of memory is a
// read of its own and neighbours gain nothing. So a lane walks two rows alone, each a stream of words, and what all lanes need
// of the input is read once for a subgroup. Links with input_i8.wgsl and a dot_*_narrow.wgsl.
enable subgroups;
// The loops below end together for all lanes of a subgroup, which the compiler's analysis does not see.
diagnostic(off, subgroup_uniformity);

override BLOCKS = (COLUMNS + 255u) / 256u;

const LANES = 32u;   // a lane for each row of the workgroup: what comes after the product has work for them
const WALKERS = 16u; // lanes that have rows. More rows of a lane were more code than a processor keeps decoded.

var<workgroup> products: array<f32, 32>;

// The first of the two rows that a lane does, of the workgroup's 32; that of an idle lane is none of them.
fn slotOf(lane: u32) -> u32 {
  return 2u * lane;
}

// `rows` are the slab's rows for slotOf(lane) and the slots after it. Lane i < 32 gets the product of slot i.
// Call it in uniform control flow only.
fn multiply(rows: vec4u, lane: u32) -> f32 {
  // Which lane of its subgroup it is. Subgroups are numbered in the order of the workgroup's lanes, so none is half idle.
  let member = subgroupExclusiveAdd(1u);
  let first = rowStart(rows.x);
  let second = rowStart(rows.y);
  let blocks = select(0u, BLOCKS, lane < WALKERS);
  var sums = vec2f(0.0);
  for (var block = 0u; block < blocks; block++) {
    let firstScales = scalesOf(first, block);
    let secondScales = scalesOf(second, block);
    let end = min(PAIRS, 4u * block + 4u);
    for (var pair = 4u * block; pair < end; pair++) {
      let read = input[pair * RECORD + min(member, 4u)];
      let swapped = (read >> vec4u(16u)) | (read << vec4u(16u));
      let step = Step(
        array(subgroupBroadcast(swapped, 0u), subgroupBroadcast(swapped, 1u)),
        array(subgroupBroadcast(swapped, 2u), subgroupBroadcast(swapped, 3u)),
        bitcast<vec4f>(subgroupBroadcast(read, 4u)),
      );
      sums.x += dotPair(first, pair, firstScales, step);
      sums.y += dotPair(second, pair, secondScales, step);
    }
  }
  if (lane < WALKERS) {
    products[2u * lane] = sums.x;
    products[2u * lane + 1u] = sums.y;
  }
  workgroupBarrier();
  let product = products[lane];
  workgroupBarrier();
  return product;
}

// Two products in one multiplication, where there is no packed dot product: of a pair a + 2^16 b and a swapped one y + 2^16 x,
// bits 16 to 31 of the product are a x + b y, and the lower ones a y, signed.

// Bytes 0 and 2, signed, as a pair.
fn evenPair(bytes: u32) -> u32 {
  return ((bytes & 0x00ff00ffu) ^ 0x00800080u) - 0x00800080u;
}

// Bytes 1 and 3.
fn oddPair(bytes: u32) -> u32 {
  return evenPair(bytes >> 8u);
}

// What sums of such products have in their upper bits. Both parts of the sum are within [-2^15, 2^15).
fn upperOf(sum: u32) -> i32 {
  return bitcast<i32>(sum + 0x8000u) >> 16u;
}
