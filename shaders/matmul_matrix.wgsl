// As matmul.wgsl, by matrices that a subgroup multiplies: operands are rounded to halves, sums are f32.
// Links with rows.wgsl, a weights_*.wgsl and a matrix_*.wgsl. Grid: ceil(ROWS / (4 * SIDE)) x ceil(T / (8 * SIDE))
// workgroups of 256 lanes. A workgroup makes a tile of four blocks of 2 x 4 matrices, one below the other, over slices of 32
// columns in workgroup memory; a subgroup makes a block, of whatever size subgroups are: those that find none only fill the
// tile, and where they are fewer than the blocks, all of it is done again. Tiles of rows that are no tokens return at once.
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;

override ROWS: u32;        // rows of this slab
override FIRST_ROW: u32;   // where the slab begins in the whole matrix
override Y_COLUMNS: u32;   // rows of the whole matrix
override ACCUMULATE: bool; // add to y, for the residual

@group(0) @binding(0) var<storage, read> x: array<vec4f>;     // [T, COLUMNS / 4]
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [T, Y_COLUMNS]

const LANES = 256u;
const DOWN = 2u;   // matrices of a block, of tokens
const ACROSS = 4u; // and of rows
const BLOCKS = 4u;
const BLOCK_TOKENS = DOWN * SIDE;
const TILE_TOKENS = BLOCKS * BLOCK_TOKENS;
const TILE_ROWS = ACROSS * SIDE;
const AREA = SIDE * SIDE;

const OCTETS = 4u;         // of a slice, eight halves each
const STRIDE = OCTETS + 1u; // one of padding, so that lanes that read rows side by side hit different banks

// Of a slice x and below it the weights; in the end the sums of a matrix of each block, as f32.
var<workgroup> tile: array<vec4u, (TILE_TOKENS + TILE_ROWS) * STRIDE>;

fn halves(low: vec4f, high: vec4f) -> vec4u {
  return vec4u(bitcast<vec2u>(vec4<f16>(low)), bitcast<vec2u>(vec4<f16>(high)));
}

// Zero where halves can hold eight values, else bits that make a half NaN: what is not below 65520 rounds to none, WGSL leaves
// open to what, and what went wrong has to show in the logits.
fn nanUnlessHalves(low: vec4f, high: vec4f) -> u32 {
  // These bits rise with the magnitude, and those of NaN and infinity are the highest.
  let bits = max(bitcast<vec4u>(low) & vec4u(0x7fffffffu), bitcast<vec4u>(high) & vec4u(0x7fffffffu));
  let largest = max(max(bits.x, bits.y), max(bits.z, bits.w));
  return select(0x7e00u, 0u, largest < 0x477ff000u); // the bits of 65520
}

@compute @workgroup_size(LANES)
fn main(
  @builtin(workgroup_id) workgroup: vec3u,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(num_subgroups) subgroups: u32,
) {
  let firstRow = workgroup.x * TILE_ROWS;
  let firstToken = workgroup.y * TILE_TOKENS;
  let count = rows.count;
  if (firstToken >= count) {
    return;
  }
  for (var firstBlock = 0u; firstBlock < BLOCKS; firstBlock += subgroups) {
    let block = firstBlock + subgroup;
    var sums = array<Sums, DOWN * ACROSS>(); // without a value Dawn leaves in it what the last trip had
    for (var slice = 0u; slice < COLUMNS / 8u; slice += OCTETS) {
      for (var trip = 0u; trip < TILE_TOKENS * OCTETS / LANES; trip++) {
        let i = trip * LANES + lane;
        let token = min(firstToken + i / OCTETS, count - 1u);
        let at = 2u * (token * (COLUMNS / 8u) + slice + i % OCTETS);
        let low = x[at];
        let high = x[at + 1u];
        let nan = vec4u(nanUnlessHalves(low, high), 0u, 0u, 0u);
        tile[i / OCTETS * STRIDE + i % OCTETS] = halves(low, high) | nan;
      }
      if (lane < TILE_ROWS * OCTETS) {
        let w = weights8(min(firstRow + lane / OCTETS, ROWS - 1u), slice + lane % OCTETS);
        tile[(TILE_TOKENS + lane / OCTETS) * STRIDE + lane % OCTETS] = halves(w.low, w.high);
      }
      workgroupBarrier();
      if (block < BLOCKS) {
        for (var octet = 0u; octet < OCTETS; octet += SIDE / 8u) {
          var left: array<Left, DOWN>;
          for (var i = 0u; i < DOWN; i++) {
            let at = (block * BLOCK_TOKENS + i * SIDE) * STRIDE + octet;
            left[i] = subgroupMatrixLoad<Left, row_major>(&tile, at, STRIDE);
          }
          for (var j = 0u; j < ACROSS; j++) {
            let at = (TILE_TOKENS + j * SIDE) * STRIDE + octet;
            let right = subgroupMatrixLoad<Right, col_major>(&tile, at, STRIDE);
            for (var i = 0u; i < DOWN; i++) {
              let sum = i * ACROSS + j;
              sums[sum] = subgroupMatrixMultiplyAccumulate(left[i], right, sums[sum]);
            }
          }
        }
      }
      workgroupBarrier();
    }
    for (var made = 0u; made < DOWN * ACROSS; made++) {
      if (block < BLOCKS) {
        subgroupMatrixStore<row_major>(&tile, subgroup * AREA / 4u, sums[0], SIDE / 4u);
        // An index that is no constant would keep the sums out of registers: the next one comes to the front.
        for (var next = 1u; next < DOWN * ACROSS; next++) {
          sums[next - 1u] = sums[next];
        }
      }
      workgroupBarrier();
      for (var i = lane; i < min(subgroups, BLOCKS - firstBlock) * AREA; i += LANES) {
        let token = firstToken + (firstBlock + i / AREA) * BLOCK_TOKENS + made / ACROSS * SIDE + i % AREA / SIDE;
        let row = firstRow + made % ACROSS * SIDE + i % SIDE;
        if (token < count && row < ROWS) {
          let sum = bitcast<f32>(tile[i / 4u][i % 4u]);
          let at = token * Y_COLUMNS + FIRST_ROW + row;
          if (ACCUMULATE) {
            y[at] += sum;
          } else {
            y[at] = sum;
          }
        }
      }
      workgroupBarrier();
    }
  }
}
