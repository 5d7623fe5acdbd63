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

/** What is the same in a way of every kernel of the kind. */
export interface GemvWay {
  /** "i8 16x4" has 16 lanes a row and 4 rows a lane. */
  readonly name: string;
  readonly arithmetic: Arithmetic;
  readonly lanesPerRow: number;
  readonly rowsPerLane: number;
}

/** A way for each arithmetic and tile. */
export const GEMV_WAYS: readonly GemvWay[] = ARITHMETICS.flatMap((arithmetic) =>
  TILES.map(([lanesPerRow, rowsPerLane]) => ({
    name: `${arithmetic} ${lanesPerRow}x${rowsPerLane}`,
    arithmetic,
    lanesPerRow,
    rowsPerLane,
  })),
);

/** What one kernel of the kind says of itself; what all of them have in common, gemvWays() adds. */
interface Gemv<Shape> {
  /** Parts besides those of the product, and last the kernel. */
  readonly files: (shape: Shape) => readonly string[];
  readonly constants: (shape: Shape) => Constants;
  readonly grid: (shape: Shape) => Workgroups;
}

/** The ways of one kernel, in the order of GEMV_WAYS. */
export function gemvWays<Shape extends GemvShape>({ files, constants, grid }: Gemv<Shape>): Way<Shape>[] {
  return GEMV_WAYS.map(({ name, arithmetic, lanesPerRow, rowsPerLane }) => ({
    name,
    needs: ARITHMETIC_NEEDS[arithmetic],
    fits: (shape) => shape.arithmetic === arithmetic && canMultiply(shape.format, arithmetic),
    files: (shape) => [`input_${arithmetic}`, `dot_${shape.format}_${arithmetic}`, "gemv", ...files(shape)],
    constants: (shape) => ({
      COLUMNS: shape.columns,
      LANES_PER_ROW: lanesPerRow,
      ROWS_PER_LANE: rowsPerLane,
      ...constants(shape),
    }),
    grid,
  }));
}
