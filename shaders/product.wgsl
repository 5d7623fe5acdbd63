// Part: where a product with the rows of a slab goes: y[t, FIRST_ROW + n], or y += that when ACCUMULATE.
override ROWS: u32;        // rows of this slab
override FIRST_ROW: u32;   // where the slab begins in the whole matrix
override Y_COLUMNS: u32;   // rows of the whole matrix
override ACCUMULATE: bool; // add to y, for the residual

@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [T, Y_COLUMNS]

fn put(token: u32, row: u32, sum: f32) {
  let at = token * Y_COLUMNS + FIRST_ROW + row;
  if (ACCUMULATE) {
    y[at] += sum;
  } else {
    y[at] = sum;
  }
}
