// Rows of f32 as quads: what a matrix is multiplied with in 8 bits, four rows side by side. A group of 32 columns of a row is
// x[k] = scale * q[k], q in [-127, 127], as in input_i8.wgsl. For each four rows and each two groups a record of 20 vec4u:
// of each row 64 q in four, then of each row scale and sum of x of the first group and of the second. The second group of a
// last record may be missing: zeros.
// Links with rows.wgsl. Grid: ceil(COLUMNS / PER_LANE / LANES) x T workgroups, a lane a group of one row. Rows that are no tokens are
// left as they are.
requires packed_4x8_integer_dot_product;

override COLUMNS: u32; // a multiple of 32
override LANES: u32;

@group(0) @binding(0) var<storage, read> x: array<vec4f>;         // [T, COLUMNS / 4]
@group(0) @binding(1) var<storage, read_write> quads: array<u32>; // [ceil(T / 4), PAIRS, 80]

const PER_LANE = 32u; // values
const ROWS = 4u;      // of a quad
const RECORD = 80u;   // u32 of a record
override PAIRS = (COLUMNS + 63u) / 64u;

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let groups = COLUMNS / PER_LANE;
  let group = id.x;
  let t = id.y;
  if (group >= groups || t >= rows.count) {
    return;
  }
  let first = (t * groups + group) * 8u;
  // These bits rise with the magnitude, and those of NaN and infinity are the highest.
  var bits = vec4u(0u);
  for (var i = 0u; i < 8u; i++) {
    bits = max(bits, bitcast<vec4u>(x[first + i]) & vec4u(0x7fffffffu));
  }
  let largest = max(max(bits.x, bits.y), max(bits.z, bits.w));
  // What is no number has to show in the logits, and conversion to integers hides it.
  let isFinite = largest < 0x7f800000u;
  let scale = bitcast<f32>(select(0x7fc00000u, bitcast<u32>(bitcast<f32>(largest) / 127.0), isFinite));
  let inverse = select(0.0, 127.0 / bitcast<f32>(largest), isFinite && largest > 0u);
  let record = (t / ROWS * PAIRS + group / 2u) * RECORD;
  let into = record + 16u * (t % ROWS) + 8u * (group % 2u);
  var sums = vec4i(0);
  for (var i = 0u; i < 8u; i++) {
    let q = vec4i(round(x[first + i] * inverse));
    sums += q;
    quads[into + i] = pack4xI8(q);
  }
  let sum = scale * f32(sums.x + sums.y + sums.z + sums.w);
  let scales = record + 16u * ROWS + 4u * (t % ROWS) + 2u * (group % 2u);
  quads[scales] = bitcast<u32>(scale);
  quads[scales + 1u] = bitcast<u32>(sum);
  if (group % 2u == 0u && group + 1u == groups) {
    for (var i = 8u; i < 16u; i++) {
      quads[into + i] = 0u;
    }
    quads[scales + 2u] = 0u;
    quads[scales + 3u] = 0u;
  }
}
