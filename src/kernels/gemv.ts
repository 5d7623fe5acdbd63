import type { Feature } from "../gpu/features.ts";
import type { Constants } from "../gpu/kernel.ts";
import { scalesOf, type WeightFormat } from "../stored.ts";
import { weightsPart } from "./linear.ts";
import type { SlabShape } from "./matrix.ts";
import { ARITHMETIC_NEEDS, ARITHMETICS, type Arithmetic, canMultiply } from "./vector.ts";
import type { Way } from "./way.ts";

/** A slab times the vectors of a pass's rows. */
export type GemvShape = SlabShape & Few & { readonly arithmetic: Arithmetic };

/** How many rows a pass of the kernels for few rows has room for. */
export interface Few {
  /** One of FEW. Default 1. */
  readonly tokens?: number;
}

/** Rows of a pass that the kernels may be compiled for. What a row gives does not depend on it, nor on the other rows. */
export const FEW = [1, 2, 4, 8, 16] as const;

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
  /** Parts of the product of so many rows with a matrix in a format. */
  readonly files: (format: WeightFormat, tokens: number) => readonly string[];
  /** Rows that a workgroup multiplies at most, for each of which a lane has registers. */
  readonly most: number;
  /** Groups of 32 rows that a workgroup does where they follow one another: for so many rows of the pass. Left out, one. */
  readonly groups?: (tokens: number) => number;
  readonly constants: Constants;
}

/** Of cards: more vectors would leave too few registers for weights. */
const CARD_TOKENS = 4;
/** Of what suits software: it would take minutes to compile more, and gains little, since it is not memory that it waits for. */
const SOFTWARE_TOKENS = 1;
/** Of processors: what a subgroup's lanes read at once. */
const NARROW_TOKENS = 8;

/** A way for each arithmetic and tile, and of two arithmetics one for the vector units of processors. */
export const GEMV_WAYS: readonly GemvWay[] = [
  ...ARITHMETICS.flatMap((arithmetic) =>
    (arithmetic === "f32" ? F32_TILES : TILES).map(([lanesPerRow, rowsPerLane]) => ({
      name: `${arithmetic} ${lanesPerRow}x${rowsPerLane}`,
      tile: `${lanesPerRow}x${rowsPerLane}`,
      arithmetic,
      needs: ARITHMETIC_NEEDS[arithmetic],
      files: (format: WeightFormat, tokens: number) => [
        ...(arithmetic === "f32" ? ["columns"] : []),
        `input_${arithmetic}`,
        ...(scalesOf(format) ? [`dot_${format}`] : []),
        `dot_${format}_${arithmetic}`,
        tokens > 1 && arithmetic !== "i8" && scalesOf(format) ? "sums_in_turn" : "sums_together",
        "gemv",
        "one_group",
      ],
      most: lanesPerRow === 4 ? SOFTWARE_TOKENS : CARD_TOKENS,
      constants: { LANES_PER_ROW: lanesPerRow, ROWS_PER_LANE: rowsPerLane },
    })),
  ),
  {
    name: "i8 narrow",
    tile: "narrow",
    arithmetic: "i8",
    needs: [...ARITHMETIC_NEEDS.i8, "narrow"],
    files: (format, tokens) => [
      "input_i8",
      "narrow",
      `dot_${format}_narrow`,
      ...(tokens > 1 ? ["few_vectors", "gemv_narrow_few"] : ["gemv_narrow", "one_group"]),
    ],
    most: NARROW_TOKENS,
    groups: (tokens) => (tokens > 1 ? 2 : 1),
    constants: {},
  },
  {
    name: "f32 narrow",
    tile: "narrow",
    arithmetic: "f32",
    needs: ["subgroups", "narrow"],
    files: (format) => [weightsPart(format), "input_f32", "gemv_narrow_f32", "one_group"],
    most: NARROW_TOKENS,
    constants: {},
  },
];

/** What one kernel of the kind says of itself; what all of them have in common, gemvWays() adds. */
interface Gemv<Shape> {
  /** Parts besides those of the product, and last the kernel. */
  readonly files: (shape: Shape) => readonly string[];
  readonly constants: (shape: Shape) => Constants;
  /** Workgroups for all rows of the slab, where one does so many groups of rows that follow one another. */
  readonly workgroups: (shape: Shape, groups: number) => number;
}

/** The ways of one kernel, in the order of GEMV_WAYS. */
export function gemvWays<Shape extends GemvShape>({
  files,
  constants,
  workgroups,
}: Gemv<Shape>): Way<Shape>[] {
  return GEMV_WAYS.map(
    ({ name, arithmetic, needs, files: product, most, groups = () => 1, constants: tile }) => {
      const own = ({ tokens = 1 }: Few) => Math.min(tokens, most);
      const tiles = ({ tokens = 1 }: Few) => tokens / Math.min(tokens, most);
      return {
        name,
        needs,
        fits: (shape) => shape.arithmetic === arithmetic && canMultiply(shape.format, arithmetic),
        files: (shape) => [
          `tokens_${own(shape)}`,
          "turns",
          ...product(shape.format, own(shape)),
          ...files(shape),
        ],
        constants: (shape) => ({
          COLUMNS: shape.columns,
          TOKENS: own(shape),
          TILES: tiles(shape),
          GROUPS: groups(own(shape)),
          ...tile,
          ...constants(shape),
        }),
        grid: (shape) => [workgroups(shape, groups(own(shape))) * tiles(shape)],
      };
    },
  );
}
