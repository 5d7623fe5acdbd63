// y[t, :] = table[token of row t, :] for the tokens whose row is in this slab of the table; others are left alone.
// Links with rows.wgsl and a weights_*.wgsl. Grid: ceil(COLUMNS / (LANES * PER_LANE)) x T workgroups.
override ROWS: u32;           // rows of this slab
override FIRST_ROW: u32;      // where the slab begins in the whole table
override LANES: u32;

@group(0) @binding(3) var<storage, read_write> y: array<vec4f>; // [T, COLUMNS / 4]

const PER_LANE = 8u; // columns that a lane copies

@compute @workgroup_size(LANES)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let octet = id.x;
  let t = id.y;
  let row = rows.row[t].token - FIRST_ROW; // wraps to a huge row when the token is before the slab
  if (octet >= COLUMNS / 8u || t >= rows.count || row >= ROWS) {
    return;
  }
  let w = weights8(row, octet);
  let at = t * (COLUMNS / 4u) + 2u * octet;
  y[at] = w.low;
  y[at + 1u] = w.high;
}
