// Part: 32 values as one group of a vector that input_i8.wgsl reads. Exports the same names as store_f32.wgsl.
override STORED_COLUMNS: u32; // values of the whole vector

@group(0) @binding(6) var<storage, read_write> stored: array<u32>;

const STORED_RECORD = 20u; // u32 of two groups

var<workgroup> storedTile: array<f32, 32>;
var<workgroup> storedSquares: array<f32, 32>;

// Lane i < 32 hands over value i of the group, and the square that it adds to the norm's sum. Call it in uniform control
// flow, once.
fn storeGroup(group: u32, value: f32, square: f32, lane: u32) {
  if (lane < 32u) {
    storedTile[lane] = value;
    storedSquares[lane] = square;
  }
  workgroupBarrier();
  if (lane >= 8u) {
    return;
  }
  var largest = 0.0;
  var squares = 0.0;
  var isFinite = true;
  for (var i = 0u; i < 32u; i++) {
    let bits = bitcast<u32>(storedTile[i]) & 0x7fffffffu;
    largest = max(largest, bitcast<f32>(bits));
    isFinite = isFinite && bits < 0x7f800000u;
    squares += storedSquares[i];
  }
  // What is no number has to show in the logits, and conversion to integers hides it.
  let scale = bitcast<f32>(select(0x7fc00000u, bitcast<u32>(largest / 127.0), isFinite));
  let inverse = select(0.0, 127.0 / largest, isFinite && largest > 0.0);
  var sum = 0;
  var word = 0u;
  for (var i = 0u; i < 32u; i++) {
    let q = i32(round(storedTile[i] * inverse));
    sum += q;
    word |= select(0u, (u32(q) & 0xffu) << (8u * (i % 4u)), i / 4u == lane);
  }
  let record = group / 2u * STORED_RECORD;
  stored[record + 8u * (group % 2u) + lane] = word;
  if (lane == 0u) {
    stored[record + 16u + 2u * (group % 2u)] = bitcast<u32>(scale);
    stored[record + 17u + 2u * (group % 2u)] = bitcast<u32>(scale * f32(sum));
    stored[(STORED_COLUMNS + 63u) / 64u * STORED_RECORD + group] = bitcast<u32>(squares);
  }
}
