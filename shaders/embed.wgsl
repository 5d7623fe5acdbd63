// y[t, :] = table[tokens[t], :] for the tokens whose row is in this slab of the table; others are left alone.
// Links with step.wgsl and a weights_*.wgsl. Grid: ceil(COLUMNS / 512) x T workgroups; a lane copies eight columns.
override ROWS: u32;           // rows of this slab
override FIRST_ROW: u32 = 0u; // where the slab begins in the whole table

@group(0) @binding(0) var<storage, read> tokens: array<u32>;    // [T]
@group(0) @binding(3) var<storage, read_write> y: array<vec4f>; // [T, COLUMNS / 4]
@group(0) @binding(4) var<uniform> step: Step;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let octet = id.x;
  let t = id.y;
  let row = tokens[t] - FIRST_ROW; // wraps to a huge row when the token is before the slab
  if (octet >= COLUMNS / 8u || t >= step.count || row >= ROWS) {
    return;
  }
  let w = weights8(row, octet);
  let at = t * (COLUMNS / 4u) + 2u * octet;
  y[at] = w.low;
  y[at + 1u] = w.high;
}
