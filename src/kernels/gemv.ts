import type { Feature } from "../gpu/features.ts";
import type { Constants, Workgroups } from "../gpu/kernel.ts";
import type { WeightFormat } from "../stored.ts";
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

/** As f32, four rows a lane take so many registers that less than half of a card's waves fit: two come first. */
const F32_TILES = [...TILES].sort((a, b) => Number(a[1] === 4) - Number(b[1] === 4));

/** What is the same in a way of every kernel of the kind. */
export interface GemvWay {
  /** "i8 16x4" has 16 lanes a row and 4 rows a lane. */
  readonly name: string;
  /** How it shares the rows out: the name without the arithmetic. */
  readonly tile: string;
  readonly arithmetic: Arithmetic;
  /** What the adapter must have. */
  readonly needs: readonly Feature[];
  /** Parts of the product with a matrix in a format. */
  readonly files: (format: WeightFormat) => readonly string[];
  readonly constants: Constants;
}

/** A way for each arithmetic and tile, and one for the vector units of processors. */
export const GEMV_WAYS: readonly GemvWay[] = [
  ...ARITHMETICS.flatMap((arithmetic) =>
    (arithmetic === "f32" ? F32_TILES : TILES).map(([lanesPerRow, rowsPerLane]) => ({
      name: `${arithmetic} ${lanesPerRow}x${rowsPerLane}`,
      tile: `${lanesPerRow}x${rowsPerLane}`,
      arithmetic,
      needs: ARITHMETIC_NEEDS[arithmetic],
      files: (format: WeightFormat) => [`input_${arithmetic}`, `dot_${format}_${arithmetic}`, "gemv"],
      constants: { LANES_PER_ROW: lanesPerRow, ROWS_PER_LANE: rowsPerLane },
    })),
  ),
  {
    name: "i8 narrow",
    tile: "narrow",
    arithmetic: "i8",
    needs: [...ARITHMETIC_NEEDS.i8, "narrow"],
    files: (format) => ["input_i8", "narrow", `dot_${format}_narrow`, "gemv_narrow"],
    constants: {},
  },
];

/** What one kernel of the kind says of itself; what all of them have in common, gemvWays() adds. */
interface Gemv<Shape> {
  /** Parts besides those of the product, and last the kernel. */
  readonly files: (shape: Shape) => readonly string[];
  readonly constants: (shape: Shape) => Constants;
  readonly grid: (shape: Shape) => Workgroups;
}

/** The ways of one kernel, in the order of GEMV_WAYS. */
export function gemvWays<Shape extends GemvShape>({ files, constants, grid }: Gemv<Shape>): Way<Shape>[] {
  return GEMV_WAYS.map(({ name, arithmetic, needs, files: product, constants: tile }) => ({
    name,
    needs,
    fits: (shape) => shape.arithmetic === arithmetic && canMultiply(shape.format, arithmetic),
    files: (shape) => [...product(shape.format), ...files(shape)],
    constants: (shape) => ({ COLUMNS: shape.columns, ...tile, ...constants(shape) }),
    grid,
  }));
}
