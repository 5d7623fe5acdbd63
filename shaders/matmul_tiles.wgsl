// y[t, FIRST_ROW + n] = sum over k of weight[n, k] * x[t, k], or y += that when ACCUMULATE, for one slab of a matrix and x as
// quads (quantise.wgsl), by packed dot products of integers.
// Links with rows.wgsl, product.wgsl, input_i8.wgsl and a tile_*.wgsl. Grid: ceil(T / 64) x ceil(ROWS / 64) workgroups of 256 lanes, those beside
// each other with the same rows of the matrix. A workgroup makes a tile of 64 x 64, a lane 4 x 4 of it, over slices of 64 columns
// in 12 KiB of workgroup memory.
const TILE = 64u;       // tokens, and rows of the matrix, of one tile
const SIDE = 16u;       // the lanes are 16 x 16: down the tokens, across the rows
const LANES = 256u;
const QUARTERS = 4u;    // vec4u of 16 columns in a slice
const STRIDE = 5u;      // one of padding, so that rows start in different banks
const QUAD_ROWS = 4u;   // rows of a quad
const QUAD_RECORD = 20u; // vec4u of one

var<workgroup> xTile: array<vec4u, TILE * STRIDE>; // [token, quarter]
var<workgroup> wTile: array<vec4u, TILE * STRIDE>; // [row, quarter]
var<workgroup> xSums: array<vec4f, TILE>;    // scale and sum of the first group of a slice, and of the second
var<workgroup> wFactors: array<vec4f, TILE>; // scale and minimum likewise

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let firstToken = workgroup.x * TILE;
  let firstRow = workgroup.y * TILE;
  let count = rows.count;
  if (firstToken >= count) {
    return;
  }
  // What a lane brings: a quarter of a token's slice and of a row's.
  let quarter = lane % QUARTERS;
  let token = min(firstToken + lane / QUARTERS, count - 1u);
  let row = min(firstRow + lane / QUARTERS, ROWS - 1u);
  let record = token / QUAD_ROWS * PAIRS * QUAD_RECORD;
  let into = lane / QUARTERS * STRIDE + quarter;

  let down = lane / SIDE;
  let across = lane % SIDE;
  var sums: array<vec4f, 4>; // [token], a component per row
  for (var pair = 0u; pair < PAIRS; pair++) {
    let at = record + pair * QUAD_RECORD;
    xTile[into] = input[at + QUARTERS * (token % QUAD_ROWS) + quarter];
    wTile[into] = bytesOf(row, pair, quarter);
    if (quarter == 0u) {
      xSums[lane / QUARTERS] = bitcast<vec4f>(input[at + QUARTERS * QUAD_ROWS + token % QUAD_ROWS]);
    } else if (quarter == 1u) {
      wFactors[lane / QUARTERS] = factorsOf(row, pair);
    }
    workgroupBarrier();
    for (var group = 0u; group < 2u; group++) {
      var dots = array<vec4i, 4>(); // [token]
      for (var q = 2u * group; q < 2u * group + 2u; q++) {
        // A lane's rows are 16 apart, so that neighbouring lanes read neighbouring rows.
        let w0 = wTile[across * STRIDE + q];
        let w1 = wTile[(across + SIDE) * STRIDE + q];
        let w2 = wTile[(across + 2u * SIDE) * STRIDE + q];
        let w3 = wTile[(across + 3u * SIDE) * STRIDE + q];
        for (var t = 0u; t < 4u; t++) {
          let a = xTile[(down + t * SIDE) * STRIDE + q];
          dots[t] += vec4i(dotOf(w0, a), dotOf(w1, a), dotOf(w2, a), dotOf(w3, a));
        }
      }
      let f0 = wFactors[across];
      let f1 = wFactors[across + SIDE];
      let f2 = wFactors[across + 2u * SIDE];
      let f3 = wFactors[across + 3u * SIDE];
      let scales = select(vec4f(f0.x, f1.x, f2.x, f3.x), vec4f(f0.z, f1.z, f2.z, f3.z), group == 1u);
      let minima = select(vec4f(f0.y, f1.y, f2.y, f3.y), vec4f(f0.w, f1.w, f2.w, f3.w), group == 1u);
      for (var t = 0u; t < 4u; t++) {
        let both = xSums[down + t * SIDE];
        let own = select(both.xy, both.zw, group == 1u);
        sums[t] += own.x * (scales * vec4f(dots[t])) - own.y * minima;
      }
    }
    workgroupBarrier();
  }
  for (var t = 0u; t < 4u; t++) {
    let toToken = firstToken + down + t * SIDE;
    for (var r = 0u; r < 4u; r++) {
      let toRow = firstRow + across + r * SIDE;
      if (toToken < count && toRow < ROWS) {
        put(toToken, toRow, sums[t][r]);
      }
    }
  }
}

fn dotOf(w: vec4u, a: vec4u) -> i32 {
  return dot4I8Packed(w.x, a.x) + dot4I8Packed(w.y, a.y) + dot4I8Packed(w.z, a.z) + dot4I8Packed(w.w, a.w);
}
