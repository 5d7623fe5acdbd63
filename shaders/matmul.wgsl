// y[t, FIRST_ROW + n] = sum over k of weight[n, k] * x[t, k], or y += that when ACCUMULATE.
// One slab of a matrix of any stored format; links with rows.wgsl, product.wgsl and a weights_*.wgsl.
// Grid: ceil(ROWS / TILE_ROWS) x ceil(T / TILE) workgroups; one makes a tile of TILE tokens and TILE_ROWS rows, a lane 4 tokens
// of it and 4 rows, or twice 4, over slices of columns in workgroup memory. Tiles of rows that are no tokens return at once.
@group(0) @binding(0) var<storage, read> x: array<vec4f>; // [T, COLUMNS / 4]

override TILE: u32;      // tokens of one tile
override TILE_ROWS: u32; // rows of the matrix of one tile
override QUADS: u32;     // times that a lane has 4 of them: 1 or 2
override SLICE: u32;     // vec4 columns of one slice: 4 or 8
override ACROSS = TILE_ROWS / QUADS / 4u; // lanes with the same tokens
override LANES = TILE / 4u * ACROSS;
override OCTETS = SLICE / 2u;
override STRIDE = SLICE + 1u; // one vec4 of padding, so that neighbouring lanes' rows are in different banks

var<workgroup> xTile: array<vec4f, TILE * STRIDE>;
var<workgroup> wTile: array<vec4f, TILE_ROWS * STRIDE>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let firstRow = workgroup.x * TILE_ROWS;
  let firstToken = workgroup.y * TILE;
  let count = rows.count;
  if (firstToken >= count) {
    return;
  }
  let tokenLane = lane / ACROSS * 4u;
  let rowLane = lane % ACROSS;
  var sums: array<vec4f, 8>; // [quad of rows, token], a component per row
  for (var slice = 0u; slice < COLUMNS / 4u; slice += SLICE) {
    for (var i = lane; i < TILE * SLICE; i += LANES) {
      let token = min(firstToken + i / SLICE, count - 1u);
      xTile[i / SLICE * STRIDE + i % SLICE] = x[token * (COLUMNS / 4u) + slice + i % SLICE];
    }
    for (var i = lane; i < TILE_ROWS * OCTETS; i += LANES) {
      let row = min(firstRow + i / OCTETS, ROWS - 1u);
      let octet = i % OCTETS;
      let w = weights8(row, slice / 2u + octet);
      let at = i / OCTETS * STRIDE + 2u * octet;
      wTile[at] = w.low;
      wTile[at + 1u] = w.high;
    }
    workgroupBarrier();
    for (var k = 0u; k < SLICE; k++) {
      let x0 = xTile[tokenLane * STRIDE + k];
      let x1 = xTile[(tokenLane + 1u) * STRIDE + k];
      let x2 = xTile[(tokenLane + 2u) * STRIDE + k];
      let x3 = xTile[(tokenLane + 3u) * STRIDE + k];
      for (var q = 0u; q < QUADS; q++) {
        // A lane's rows are ACROSS apart, so that neighbouring lanes read neighbouring rows.
        let at = (rowLane + 4u * q * ACROSS) * STRIDE + k;
        let w0 = wTile[at];
        let w1 = wTile[at + ACROSS * STRIDE];
        let w2 = wTile[at + 2u * ACROSS * STRIDE];
        let w3 = wTile[at + 3u * ACROSS * STRIDE];
        sums[4u * q] += vec4f(dot(x0, w0), dot(x0, w1), dot(x0, w2), dot(x0, w3));
        sums[4u * q + 1u] += vec4f(dot(x1, w0), dot(x1, w1), dot(x1, w2), dot(x1, w3));
        sums[4u * q + 2u] += vec4f(dot(x2, w0), dot(x2, w1), dot(x2, w2), dot(x2, w3));
        sums[4u * q + 3u] += vec4f(dot(x3, w0), dot(x3, w1), dot(x3, w2), dot(x3, w3));
      }
    }
    workgroupBarrier();
  }
  for (var t = 0u; t < 4u; t++) {
    let token = firstToken + tokenLane + t;
    for (var q = 0u; q < QUADS; q++) {
      for (var r = 0u; r < 4u; r++) {
        let row = firstRow + rowLane + (4u * q + r) * ACROSS;
        if (token < count && row < ROWS) {
          put(token, row, sums[4u * q + t][r]);
        }
      }
    }
  }
}
