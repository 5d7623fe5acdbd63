// Part: as gemv.wgsl, of one token, for the vector units of a processor: a lane does two rows. Links with input_i8.wgsl, narrow.wgsl,
// a dot_*_narrow.wgsl and tokens_1.wgsl.

const LANES = 32u;   // a lane for each row of the workgroup: what comes after the product has work for them
const WALKERS = 16u; // lanes that have rows. More rows of a lane were more code than a processor keeps decoded.

var<workgroup> products: array<f32, 2u * 32u>; // [half, slot]: what multiply() leaves

// The first of the two rows that a lane does, of the workgroup's 32; that of an idle lane is none of them.
fn slotOf(lane: u32) -> u32 {
  return 2u * lane;
}

// As gemv.wgsl has it.
fn multiply(firstToken: u32, rows: vec4u, half: u32, lane: u32) {
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
      let x = fourOf(read, read, read, 4u);
      sums.x += dotFour(weightsOf(first, pair, firstScales), x).x;
      sums.y += dotFour(weightsOf(second, pair, secondScales), x).x;
    }
  }
  if (lane < WALKERS) {
    products[32u * half + 2u * lane] = sums.x;
    products[32u * half + 2u * lane + 1u] = sums.y;
  }
  workgroupBarrier();
}
