// Part: 32 values as one group of a vector that input_i8.wgsl reads. Exports the same names as store_f32.wgsl.
override STORED_COLUMNS: u32; // values of the whole vector

@group(0) @binding(6) var<storage, read_write> stored: array<u32>;

const STORED_RECORD = 20u; // u32 of two groups

var<workgroup> storedTile: array<f32, 32>;
var<workgroup> storedSquares: array<f32, 32>;
// Of four values each: the bits of the largest magnitude, the sum of squares, and that of the integers.
var<workgroup> fourLargest: array<u32, 8>;
var<workgroup> fourSquares: array<f32, 8>;
var<workgroup> fourSums: array<i32, 8>;

// Lane i < 32 hands over value i of the group, and the square that it adds to the norm's sum. Call it in uniform control
// flow, once.
fn storeGroup(group: u32, value: f32, square: f32, lane: u32) {
  if (lane < 32u) {
    storedTile[lane] = value;
    storedSquares[lane] = square;
  }
  workgroupBarrier();
  let first = 4u * (lane % 8u);
  let four = vec4f(storedTile[first], storedTile[first + 1u], storedTile[first + 2u], storedTile[first + 3u]);
  if (lane < 8u) {
    // These bits rise with the magnitude, and those of NaN and infinity are the highest.
    let bits = bitcast<vec4u>(four) & vec4u(0x7fffffffu);
    fourLargest[lane] = max(max(bits.x, bits.y), max(bits.z, bits.w));
    fourSquares[lane] = storedSquares[first] + storedSquares[first + 1u] + storedSquares[first + 2u] + storedSquares[first + 3u];
  }
  workgroupBarrier();
  var largest = 0u;
  for (var i = 0u; i < 8u; i++) {
    largest = max(largest, fourLargest[i]);
  }
  // What is no number has to show in the logits, and conversion to integers hides it.
  let isFinite = largest < 0x7f800000u;
  let scale = bitcast<f32>(select(0x7fc00000u, bitcast<u32>(bitcast<f32>(largest) / 127.0), isFinite));
  let inverse = select(0.0, 127.0 / bitcast<f32>(largest), isFinite && largest > 0u);
  let quants = vec4i(round(four * inverse));
  let record = group / 2u * STORED_RECORD;
  if (lane < 8u) {
    fourSums[lane] = quants.x + quants.y + quants.z + quants.w;
    stored[record + 8u * (group % 2u) + lane] = pack4xI8(quants);
  }
  workgroupBarrier();
  if (lane == 0u) {
    var sum = 0;
    var squares = 0.0;
    for (var i = 0u; i < 8u; i++) {
      sum += fourSums[i];
      squares += fourSquares[i];
    }
    stored[record + 16u + 2u * (group % 2u)] = bitcast<u32>(scale);
    stored[record + 17u + 2u * (group % 2u)] = bitcast<u32>(scale * f32(sum));
    stored[(STORED_COLUMNS + 63u) / 64u * STORED_RECORD + group] = bitcast<u32>(squares);
  }
}
