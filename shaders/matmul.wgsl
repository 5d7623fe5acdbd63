// y[t, FIRST_ROW + n] = sum over k of weight[n, k] * x[t, k], or y += that when ACCUMULATE.
// One slab of a matrix of any stored format; links with rows.wgsl and a weights_*.wgsl.
// Grid: ceil(ROWS / TILE) x ceil(T / TILE) workgroups of 64 lanes; a workgroup makes a tile of 32 x 32, a lane 4 x 4
// of it, over slices of 32 columns in workgroup memory. Tiles of rows that are no tokens return at once.
override ROWS: u32;                // rows of this slab
override FIRST_ROW: u32;           // where the slab begins in the whole matrix
override Y_COLUMNS: u32;           // rows of the whole matrix
override ACCUMULATE: bool;         // add to y, for the residual

@group(0) @binding(0) var<storage, read> x: array<vec4f>;    // [T, COLUMNS / 4]
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [T, Y_COLUMNS]

const TILE = 32u;        // tokens, and rows of the matrix, of one tile
const SLICE = 8u;        // vec4 columns of one slice
const LANES = 64u;
const STRIDE = SLICE + 1u; // one vec4 of padding, so that lanes eight rows apart hit different banks

var<workgroup> xTile: array<vec4f, TILE * STRIDE>;
var<workgroup> wTile: array<vec4f, TILE * STRIDE>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let firstRow = workgroup.x * TILE;
  let firstToken = workgroup.y * TILE;
  let count = rows.count;
  if (firstToken >= count) {
    return;
  }
  let tokenLane = (lane / 8u) * 4u;
  let rowLane = lane % 8u;
  var sums: array<vec4f, 4>; // [token], a component per row
  for (var slice = 0u; slice < COLUMNS / 4u; slice += SLICE) {
    for (var i = lane; i < TILE * SLICE; i += LANES) {
      let token = min(firstToken + i / SLICE, count - 1u);
      xTile[i / SLICE * STRIDE + i % SLICE] = x[token * (COLUMNS / 4u) + slice + i % SLICE];
    }
    for (var i = lane; i < TILE * SLICE / 2u; i += LANES) {
      let row = min(firstRow + i / (SLICE / 2u), ROWS - 1u);
      let octet = i % (SLICE / 2u);
      let w = weights8(row, slice / 2u + octet);
      let at = i / (SLICE / 2u) * STRIDE + 2u * octet;
      wTile[at] = w.low;
      wTile[at + 1u] = w.high;
    }
    workgroupBarrier();
    for (var k = 0u; k < SLICE; k++) {
      // A lane's rows are 8 apart, so that neighbouring lanes read neighbouring rows.
      let w0 = wTile[rowLane * STRIDE + k];
      let w1 = wTile[(rowLane + 8u) * STRIDE + k];
      let w2 = wTile[(rowLane + 16u) * STRIDE + k];
      let w3 = wTile[(rowLane + 24u) * STRIDE + k];
      for (var t = 0u; t < 4u; t++) {
        let a = xTile[(tokenLane + t) * STRIDE + k];
        sums[t] += vec4f(dot(a, w0), dot(a, w1), dot(a, w2), dot(a, w3));
      }
    }
    workgroupBarrier();
  }
  for (var t = 0u; t < 4u; t++) {
    let token = firstToken + tokenLane + t;
    for (var r = 0u; r < 4u; r++) {
      let row = firstRow + rowLane + 8u * r;
      if (token < count && row < ROWS) {
        let at = token * Y_COLUMNS + FIRST_ROW + row;
        if (ACCUMULATE) {
          y[at] += sums[t][r];
        } else {
          y[at] = sums[t][r];
        }
      }
    }
  }
}
