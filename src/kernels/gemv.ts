import type { Constants, Workgroups } from "../gpu/kernel.ts";
import type { SlabShape } from "./matrix.ts";
import { ARITHMETIC_NEEDS, ARITHMETICS, type Arithmetic, canMultiply } from "./vector.ts";
import type { Way } from "./way.ts";

/** A slab times one vector. */
export type GemvShape = SlabShape & { readonly arithmetic: Arithmetic };

/** Rows of a workgroup: one group of the vector that comes next. */
export const GEMV_ROWS = 32;

/**
 * How a workgroup shares its 32 rows out: so many lanes a row, which walk 64 columns a step each, and so many rows a
 * lane, for which it reads the vector once. The smaller a matrix, the more lanes a row fill a GPU; the last one suits
 * adapters that are no GPU.
 */
const TILES: readonly (readonly [lanesPerRow: number, rowsPerLane: number])[] = [
  [16, 4],
  [8, 4],
  [32, 4],
  [16, 2],
  [8, 2],
  [8, 1],
  [4, 2],
];

/** What one kernel of the kind says of itself; what all of them have in common, gemvWays() adds. */
interface Gemv<Shape> {
  /** Parts besides those of the product, and last the kernel. */
  readonly files: (shape: Shape) => readonly string[];
  readonly constants: (shape: Shape) => Constants;
  readonly grid: (shape: Shape) => Workgroups;
}

/** A way for each arithmetic and tile: "i8 16x4" has 16 lanes a row and 4 rows a lane. */
export function gemvWays<Shape extends GemvShape>({ files, constants, grid }: Gemv<Shape>): Way<Shape>[] {
  return ARITHMETICS.flatMap((arithmetic) =>
    TILES.map(([lanesPerRow, rowsPerLane]) => ({
      name: `${arithmetic} ${lanesPerRow}x${rowsPerLane}`,
      needs: ARITHMETIC_NEEDS[arithmetic],
      fits: (shape: Shape) => shape.arithmetic === arithmetic && canMultiply(shape.format, arithmetic),
      files: (shape: Shape) => [
        `input_${arithmetic}`,
        `dot_${shape.format}_${arithmetic}`,
        "gemv",
        ...files(shape),
      ],
      constants: (shape: Shape) => ({
        COLUMNS: shape.columns,
        LANES_PER_ROW: lanesPerRow,
        ROWS_PER_LANE: rowsPerLane,
        ...constants(shape),
      }),
      grid,
    })),
  );
}
