// Part: 32 values as one group of a vector that input_f16.wgsl reads. Exports the same names as store_i8.wgsl.
override STORED_COLUMNS: u32; // values of the whole vector

@group(0) @binding(6) var<storage, read_write> stored: array<u32>;

const STORED_RECORD = 36u; // u32 of two groups

var<workgroup> storedTile: array<f32, 32>;
var<workgroup> storedSquares: array<f32, 32>;
// Of four values each: the bits of the largest magnitude, and the sums of squares and of halves.
var<workgroup> fourLargest: array<u32, 8>;
var<workgroup> fourSums: array<vec2f, 8>;

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
  }
  workgroupBarrier();
  var largest = 0u;
  for (var i = 0u; i < 8u; i++) {
    largest = max(largest, fourLargest[i]);
  }
  // 2^-4 of the power of two below the largest magnitude, and its inverse. Below 2^-100 halves get smaller instead.
  let exponent = max(largest & 0x7f800000u, 27u << 23u) - (4u << 23u);
  let inverse = bitcast<f32>((254u << 23u) - exponent);
  // What is no number has to show in the logits, whatever its half is.
  let scale = bitcast<f32>(select(0x7fc00000u, exponent, largest < 0x7f800000u));
  let words = vec2u(pack2x16float(four.xz * inverse), pack2x16float(four.yw * inverse));
  let record = group / 2u * STORED_RECORD;
  if (lane < 8u) {
    let halves = unpack2x16float(words.x) + unpack2x16float(words.y);
    let squares = storedSquares[first] + storedSquares[first + 1u] + storedSquares[first + 2u] + storedSquares[first + 3u];
    fourSums[lane] = vec2f(squares, halves.x + halves.y);
    stored[record + 16u * (group % 2u) + 2u * lane] = words.x;
    stored[record + 16u * (group % 2u) + 2u * lane + 1u] = words.y;
  }
  workgroupBarrier();
  if (lane == 0u) {
    var sums = vec2f(0.0);
    for (var i = 0u; i < 8u; i++) {
      sums += fourSums[i];
    }
    stored[record + 32u + 2u * (group % 2u)] = bitcast<u32>(scale);
    stored[record + 33u + 2u * (group % 2u)] = bitcast<u32>(scale * sums.y);
    stored[(STORED_COLUMNS + 63u) / 64u * STORED_RECORD + group] = bitcast<u32>(sums.x);
  }
}
