// Part: 32 values as one group of a vector that input_f32.wgsl reads. Exports the same names as store_i8.wgsl.
override STORED_COLUMNS: u32; // values of the whole vector

@group(0) @binding(6) var<storage, read_write> stored: array<f32>;

const STORED_RECORD = 68u; // f32 of two groups

var<workgroup> storedTile: array<f32, 32>;
var<workgroup> storedSquares: array<f32, 32>;

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
  if (lane > 0u) {
    return;
  }
  // dot_q4_f32.wgsl reads four-bit q as 16 + q / 16 for the first four of eight values and as 1 + q / 16 for the others:
  // the lifted sum is what that adds to the sum of q * x / 16.
  var lifted = 0.0;
  var sum = 0.0;
  var squares = 0.0;
  for (var i = 0u; i < 32u; i++) {
    lifted += storedTile[i] * select(1.0, 16.0, i % 8u < 4u);
    sum += storedTile[i];
    squares += storedSquares[i];
  }
  stored[record + 64u + 2u * (group % 2u)] = lifted;
  stored[record + 65u + 2u * (group % 2u)] = sum;
  stored[(STORED_COLUMNS + 63u) / 64u * STORED_RECORD + group] = squares;
}
