// As matmul.wgsl, by matrices that a subgroup multiplies: operands are rounded to halves, sums are f32.
// Links with rows.wgsl, a weights_*.wgsl and matrices.wgsl. Grid: ceil(ROWS / TILE_ROWS) x ceil(T / TILE_TOKENS) workgroups of
// 256 lanes. A workgroup makes a tile of blocks, over slices of columns in workgroup memory; a subgroup makes a block, of
// whatever size subgroups are: those that find none only fill the tile, and where they are fewer than the blocks, all of it is
// done again. Tiles of rows that are no tokens return at once.
enable f16;
enable subgroups;
enable chromium_experimental_subgroup_matrix;

override ROWS: u32;        // rows of this slab
override FIRST_ROW: u32;   // where the slab begins in the whole matrix
override Y_COLUMNS: u32;   // rows of the whole matrix
override ACCUMULATE: bool; // add to y, for the residual

@group(0) @binding(0) var<storage, read> x: array<vec4f>;     // [T, COLUMNS / 4]
@group(0) @binding(3) var<storage, read_write> y: array<f32>; // [T, Y_COLUMNS]

const DOWN = 0u;          // matrices of a block, of tokens
const ACROSS = 0u;        // and of rows
const BLOCKS_DOWN = 0u;   // blocks of a tile, likewise
const BLOCKS_ACROSS = 0u;
const OCTETS = 0u;        // of a slice, eight halves each: two or four, and no fewer than a matrix has
const PLACES = 0u;        // matrices of sums that are written at once

const LANES = 256u;
const BLOCKS = BLOCKS_DOWN * BLOCKS_ACROSS;
const BLOCK_TOKENS = DOWN * M;
const BLOCK_ROWS = ACROSS * N;
const TILE_TOKENS = BLOCKS_DOWN * BLOCK_TOKENS;
const TILE_ROWS = BLOCKS_ACROSS * BLOCK_ROWS;
const AREA = M * N;
const STRIDE = OCTETS + 1u; // one of padding, so that lanes that read rows side by side hit different banks

// A slice of x and of the weights, by block: places in a block are constants, which cost no check of their own. With
// the sums, which come in the end, within 16 KiB.
var<workgroup> tokens: array<array<vec4u, BLOCK_TOKENS * STRIDE>, BLOCKS_DOWN>;
var<workgroup> weights: array<array<vec4u, BLOCK_ROWS * STRIDE>, BLOCKS_ACROSS>;
var<workgroup> results: array<vec4f, PLACES * AREA / 4u>;

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
  // Of each slice a lane brings an octet of a row, or several of as many tokens.
  let octet = lane % OCTETS;
  let line = lane / OCTETS;
  let row = min(firstRow + line, ROWS - 1u);
  for (var firstBlock = 0u; firstBlock < BLOCKS; firstBlock += subgroups) {
    let block = firstBlock + subgroup;
    let down = block / BLOCKS_ACROSS;
    let across = block % BLOCKS_ACROSS;
    var sums = array<Sums, DOWN * ACROSS>(); // without a value Dawn leaves in it what the last trip had
    for (var group = 0u; group < COLUMNS / 32u; group++) {
      var factors: vec2f;
      if (line < TILE_ROWS) {
        factors = factorsOf(row, group);
      }
      for (var slice = 0u; slice < 4u; slice += OCTETS) {
        for (var trip = 0u; trip < TILE_TOKENS * OCTETS / LANES; trip++) {
          let t = trip * (LANES / OCTETS) + line;
          let at = 2u * (min(firstToken + t, count - 1u) * (COLUMNS / 8u) + 4u * group + slice + octet);
          let low = x[at];
          let high = x[at + 1u];
          let nan = vec4u(nanUnlessHalves(low, high), 0u, 0u, 0u);
          tokens[t / BLOCK_TOKENS][t % BLOCK_TOKENS * STRIDE + octet] = halves(low, high) | nan;
        }
        if (line < TILE_ROWS) {
          let w = weightsBy(factors, row, 4u * group + slice + octet);
          weights[line / BLOCK_ROWS][line % BLOCK_ROWS * STRIDE + octet] = halves(w.low, w.high);
        }
        workgroupBarrier();
        if (block < BLOCKS) {
          for (var k = 0u; k < OCTETS; k += K / 8u) {
            var left: array<Left, DOWN>;
            for (var i = 0u; i < DOWN; i++) {
              left[i] = subgroupMatrixLoad<Left, row_major>(&tokens[down], i * M * STRIDE + k, STRIDE);
            }
            for (var j = 0u; j < ACROSS; j++) {
              let right = subgroupMatrixLoad<Right, col_major>(&weights[across], j * N * STRIDE + k, STRIDE);
              for (var i = 0u; i < DOWN; i++) {
                let sum = i * ACROSS + j;
                sums[sum] = subgroupMatrixMultiplyAccumulate(left[i], right, sums[sum]);
              }
            }
          }
        }
        workgroupBarrier();
      }
    }
    for (var made = 0u; made < DOWN * ACROSS; made++) {
      for (var first = 0u; first < BLOCKS; first += PLACES) {
        if (block >= first && block < min(first + PLACES, BLOCKS)) {
          subgroupMatrixStore<row_major>(&results, (block - first) * AREA / 4u, sums[0], N / 4u);
        }
        workgroupBarrier();
        for (var i = lane; i < PLACES * AREA; i += LANES) {
          let maker = first + i / AREA;
          let token = firstToken + maker / BLOCKS_ACROSS * BLOCK_TOKENS + made / ACROSS * M + i % AREA / N;
          let row = firstRow + maker % BLOCKS_ACROSS * BLOCK_ROWS + made % ACROSS * N + i % N;
          let isNew = maker >= firstBlock && maker < min(firstBlock + subgroups, BLOCKS);
          if (isNew && token < count && row < ROWS) {
            let sum = results[i / 4u][i % 4u];
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
      // An index that is no constant would keep the sums out of registers: the next one comes to the front.
      for (var next = 1u; next < DOWN * ACROSS; next++) {
        sums[next - 1u] = sums[next];
      }
    }
  }
}
