// x[t, :] = table[token of row t, :], and x · weight of the first norm as the input of the first matrix. Does nothing where the
// token's row is not in this slab of the table.
// Links with rows.wgsl, a weights_*.wgsl, tokens_1.wgsl and a store_*.wgsl. Grid: COLUMNS / 32 x T workgroups.
override ROWS: u32;      // rows of this slab
override FIRST_ROW: u32; // where the slab begins in the whole table

@group(0) @binding(3) var<storage, read_write> x: array<f32>; // [T, COLUMNS]
@group(0) @binding(5) var<storage, read> norm: array<f32>;    // [COLUMNS]

const LANES = 32u;

var<workgroup> tile: array<f32, 32>;

@compute @workgroup_size(LANES)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) lane: u32) {
  let token = workgroup.y;
  let row = rows.row[token].token - FIRST_ROW; // wraps to a huge row when the token is before the slab
  if (token >= rows.count || row >= ROWS) {
    return;
  }
  if (lane < 4u) {
    let w = weights8(row, 4u * workgroup.x + lane);
    for (var i = 0u; i < 4u; i++) {
      tile[8u * lane + i] = w.low[i];
      tile[8u * lane + 4u + i] = w.high[i];
    }
  }
  workgroupBarrier();
  let column = workgroup.x * 32u + lane;
  let value = tile[lane];
  x[token * COLUMNS + column] = value;
  handOver(lane, value * norm[column], value * value);
  storeGroups(token, workgroup.x, lane);
}
