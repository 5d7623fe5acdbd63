import { ATTENTION_MERGE, ATTENTION_SPLIT } from "../../kernels/attention-split.ts";
import { type AttentionShape, cacheSlices, packedBytes } from "../../kernels/cache.ts";
import { ADD, EMBED_GROUP, GATE, HEAD, QKV } from "../../kernels/fused.ts";
import { type Arithmetic, readVector, vectorBytes, vectorOf } from "../../kernels/vector.ts";
import type { Operation } from "../../kernels/way.ts";
import { activations } from "./inputs.ts";
import { repeatedNoise, sizeOf, Worst } from "./numbers.ts";
import { noteCached } from "./rope.ts";
import { unpackCache } from "./stage.ts";
import type { Output, Words } from "./trial.ts";

/** What a row of a pass has in a buffer, one row behind the other. */
export interface Field {
  /** Of a row. */
  readonly bytes: number;
  /** A row of noise: another one for each variant. */
  make(variant: number): Words;
  /** How far a row is off another one, each with roundings of its own. */
  error(got: Uint32Array, wanted: Uint32Array): number;
  /** Where rows stand that have places in the cache. */
  slicesAt?(places: readonly number[]): Output["slices"];
}

type Fields = Readonly<Record<string, Field>>;

/** What the rows of a pass have in the buffers of a dispatch. */
export interface Layout {
  readonly arithmetic: Arithmetic;
  /** What it reads, of which what it leaves too is where it goes on from. */
  readonly reads: Fields;
  readonly leaves: Fields;
}

/** Beside the half step that a value may be rounded by, what f32 makes of that step itself. */
const ROUNDING = 1.001;
/** Above it stands no result, but what a split without positions has for its largest score. */
const LARGEST = 1e30;

function floats(count: number, size = 1): Field {
  return {
    bytes: 4 * count,
    make: (variant) => repeatedNoise(count, 20 + variant, size),
    error: (...both) => {
      const [got, wanted] = both.map((words) => new Float32Array(words.slice().buffer));
      const scale = sizeOf(wanted!.filter((value) => Math.abs(value) < LARGEST));
      const worst = new Worst();
      for (const [i, value] of wanted!.entries()) {
        if (!Object.is(got![i], value)) worst.note(got![i]!, value, scale);
      }
      return worst.error;
    },
  };
}

/** What splits leave, [heads, splits, headDim + 4], with sums of weights above 0. */
function shares(heads: number, splits: number, headDim: number): Field {
  const row = floats(heads * splits * (headDim + 4));
  return {
    ...row,
    make: (variant) =>
      row.make(variant).map((value, i) => (i % (headDim + 4) < headDim + 1 ? value : 2 + value)),
  };
}

function vector(arithmetic: Arithmetic, columns: number): Field {
  return {
    bytes: vectorBytes(arithmetic, columns),
    make: (variant) => {
      const { quants, scaleOf } = activations(columns)(variant);
      return vectorOf(arithmetic, quants, scaleOf);
    },
    error: (...both) => {
      const [got, wanted] = both.map((words) => readVector(arithmetic, words, columns));
      const worst = new Worst();
      const size = sizeOf(wanted!.values);
      for (let group = 0; group < columns / 32; group++) {
        let [magnitude, slack] = [0, 0];
        for (let k = 32 * group; k < 32 * group + 32; k++) {
          const rounding = ROUNDING * (got!.rounding[k]! + wanted!.rounding[k]!);
          worst.note(got!.values[k]!, wanted!.values[k]!, size, rounding);
          magnitude += Math.abs(wanted!.values[k]!);
          slack = Math.max(slack, rounding);
        }
        worst.note(got!.sums[group]!, wanted!.sums[group]!, magnitude || Number.MIN_VALUE, 2 * slack);
        worst.note(got!.squares[group]!, wanted!.squares[group]!, wanted!.squares[group] || Number.MIN_VALUE);
      }
      return worst.error;
    },
  };
}

/** The keys, or values, of a row, [kvHeads, headDim]. */
export function cached(shape: AttentionShape): Field {
  const own = { first: 0, count: 1, positions: 1 };
  const count = shape.kvHeads * shape.headDim;
  return {
    ...floats(count),
    bytes: packedBytes(shape, 1),
    error: (got, wanted) => {
      const worst = new Worst();
      noteCached(worst, shape, got, Float64Array.from(unpackCache(shape.cache, wanted, count)), 2);
      return worst.error;
    },
    slicesAt: (places) =>
      places.flatMap((place) =>
        cacheSlices(shape, place, own).map(({ cached, bytes }) => ({ from: cached, bytes })),
      ),
  };
}

/** Of queries: see attention.ts. */
const QUERY_SIZE = 6;

function layout<Shape extends { readonly arithmetic: Arithmetic }, Binding extends string>(
  { name }: Operation<Shape, Binding>,
  layoutOf: (shape: Shape) => Record<"reads" | "leaves", Readonly<Partial<Record<NoInfer<Binding>, Field>>>>,
): [string, (shape: unknown) => Layout] {
  return [
    name,
    // As in check().
    (shape) => ({
      arithmetic: (shape as Shape).arithmetic,
      ...(layoutOf(shape as Shape) as Omit<Layout, "arithmetic">),
    }),
  ];
}

/** By operation, what the kernels of few rows read and leave besides weights, angles and rows. */
export const LAYOUTS: ReadonlyMap<string, (shape: unknown) => Layout> = new Map([
  layout(EMBED_GROUP, ({ columns, arithmetic }) => ({
    reads: {},
    leaves: { x: floats(columns), stored: vector(arithmetic, columns) },
  })),
  layout(QKV, ({ columns, arithmetic, attention }) => ({
    reads: { input: vector(arithmetic, columns) },
    leaves: {
      q: floats(attention.heads * attention.headDim),
      keys: cached(attention),
      values: cached(attention),
    },
  })),
  layout(ATTENTION_SPLIT, ({ heads, headDim, splits }) => ({
    reads: { q: floats(heads * headDim, QUERY_SIZE) },
    leaves: { parts: shares(heads, splits, headDim) },
  })),
  layout(ATTENTION_MERGE, ({ heads, headDim, splits, arithmetic }) => ({
    reads: { shares: shares(heads, splits, headDim) },
    leaves: { stored: vector(arithmetic, heads * headDim) },
  })),
  layout(ADD, ({ columns, storedColumns, arithmetic }) => ({
    reads: { input: vector(arithmetic, columns), x: floats(storedColumns) },
    leaves: { x: floats(storedColumns), stored: vector(arithmetic, storedColumns) },
  })),
  layout(GATE, ({ columns, storedColumns, arithmetic }) => ({
    reads: { input: vector(arithmetic, columns) },
    leaves: { stored: vector(arithmetic, storedColumns) },
  })),
  layout(HEAD, ({ columns, outputs, arithmetic }) => ({
    reads: { input: vector(arithmetic, columns) },
    leaves: { logits: floats(outputs) },
  })),
]);
