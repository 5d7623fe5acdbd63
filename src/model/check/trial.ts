import type { Bound, Made } from "../../gpu/kernel.ts";
import type { Operation } from "../../kernels/way.ts";
import { errorOf } from "./numbers.ts";
import type { Stage } from "./stage.ts";

export type Words = Uint32Array<ArrayBuffer> | Float32Array<ArrayBuffer>;

/** What a kernel leaves in what is bound by a name. */
export interface Output {
  /** Where that is, in bytes: the slices are read one after the other. */
  readonly slices: readonly { readonly from: number; readonly bytes: number }[];
  /** What stands from the beginning on before it runs. Default: zeros in the slices. */
  readonly before?: Words;
  /** Whether words behind the last slice have to stay zeros. */
  readonly isWhole: boolean;
  /** How far it is off: a share that is compared with what is allowed. */
  error(words: Uint32Array): number;
}

/** A run of one dispatch on known numbers. */
export interface Trial {
  /** By binding, what is written to its beginning. */
  readonly inputs: Readonly<Record<string, Words>>;
  /** By binding. */
  readonly outputs: Readonly<Record<string, Output>>;
  readonly allowed: number;
}

type Buffers = Readonly<Record<string, Bound>>;

/** How the dispatches of one operation are tried. */
export interface Check {
  readonly operation: string;
  /** Whether it changes the KV cache, which others read: it runs after them. */
  readonly writesCache: boolean;
  trialOf(made: Made, buffers: Buffers, stage: Stage): Trial;
}

/** The check of an operation, whose dispatches are known by its name. */
export function check<Shape, Binding extends string>(
  { name }: Operation<Shape, Binding>,
  trialOf: (shape: Shape, buffers: Readonly<Record<Binding, Bound>>, stage: Stage, way: string) => Trial,
  { writesCache = false } = {},
): Check {
  return {
    operation: name,
    writesCache,
    // Whoever made a dispatch of this name had a shape and buffers of these types: see prepare() in kernels/way.ts.
    trialOf: ({ shape, way }, buffers, stage) =>
      trialOf(shape as Shape, buffers as Readonly<Record<Binding, Bound>>, stage, way),
  };
}

/** Numbers from the beginning of what is bound. */
export function floats(wanted: Float64Array, before?: Float32Array<ArrayBuffer>): Output {
  return {
    slices: [{ from: 0, bytes: 4 * wanted.length }],
    isWhole: true,
    ...(before ? { before } : {}),
    error: (words) => errorOf(new Float32Array(words.slice().buffer), wanted),
  };
}

/** Words that have to be the same; the error is their share that is not. */
export function exactly(wanted: ArrayLike<number>, before?: Words): Output {
  return {
    slices: [{ from: 0, bytes: 4 * wanted.length }],
    isWhole: true,
    ...(before ? { before } : {}),
    error: (words) => words.reduce((sum, word, i) => sum + Number(word !== wanted[i]), 0) / wanted.length,
  };
}
