// Part: 32 values as one group of a vector that input_f32.wgsl reads. Exports the same names as store_i8.wgsl.
override STORED_COLUMNS: u32; // values of the whole vector

@group(0) @binding(6) var<storage, read_write> stored: array<f32>;

const STORED_RECORD = 68u; // f32 of two groups

var<workgroup> storedTile: array<f32, 32>;
var<workgroup> storedSquares: array<f32, 32>;
var<workgroup> fourSums: array<vec2f, 8>; // of four values each, and of their squares

// Lane i < 32 hands over value i of the group, and the square that it adds to the norm's sum. Call it in uniform control
// flow, once.
fn storeGroup(group: u32, value: f32, square: f32, lane: u32) {
  let record = group / 2u * STORED_RECORD;
  if (lane < 32u) {
    storedTile[lane] = value;
    storedSquares[lane] = square;
    stored[record + 32u * (group % 2u) + lane] = value;
  }
  workgroupBarrier();
  if (lane < 8u) {
    let first = 4u * lane;
    fourSums[lane] = vec2f(
      storedTile[first] + storedTile[first + 1u] + storedTile[first + 2u] + storedTile[first + 3u],
      storedSquares[first] + storedSquares[first + 1u] + storedSquares[first + 2u] + storedSquares[first + 3u],
    );
  }
  workgroupBarrier();
  if (lane == 0u) {
    var sums = vec2f(0.0);
    for (var i = 0u; i < 8u; i++) {
      sums += fourSums[i];
    }
    stored[record + 64u + group % 2u] = sums.x;
    stored[(STORED_COLUMNS + 63u) / 64u * STORED_RECORD + group] = sums.y;
  }
}
