import type { Dispatch } from "../gpu/kernel.ts";
import { packedBytes } from "../kernels/cache.ts";
import type { Matrix, Slab } from "../kernels/matrix.ts";
import { forward, type KernelSet, record, type Steps } from "../model/llama.ts";
import type { Pass } from "../model/passes.ts";
import type { State } from "../model/state.ts";
import type { Weights } from "../model/weights.ts";
import { storedBytes } from "../stored.ts";

/** A dispatch, and the bytes of weights, of the cache or of logits that it has to read: 0 where only what goes between kernels. */
interface Noted {
  readonly dispatch: Dispatch;
  readonly bytes: number;
}

/** Dispatches of a pass that do the same, of one layer after the other. */
interface PassKernel {
  readonly name: string;
  readonly noted: readonly Noted[];
}

/** By which dispatches of an operation read its matrix. */
const PRODUCT = /^(linear|qkv|add|gate|head) /;
/** And its part of the cache: a merge reads what splits left. */
const ATTENTION = /^attention (?!merge)/;

/**
 * The kernels of a pass of one sequence, in their order, each under the name of its operation, its way and its matrix.
 * @param positions Positions of the sequence that its rows see, themselves among them.
 */
export function kernelsOf(
  { set, draw }: Pass,
  weights: Weights,
  { attention }: State,
  positions: number,
): PassKernel[] {
  const kernels = new Map<string, Noted[]>();
  const note = (dispatch: Dispatch, bytes: number, of = "") => {
    const { label } = dispatch;
    const name = of && !label.startsWith(`${of} `) ? `${label}, ${of}` : label;
    kernels.set(name, [...(kernels.get(name) ?? []), { dispatch, bytes }]);
  };
  function* product<Result>(steps: Steps<Result>, matrix: Matrix): Steps<Result> {
    const slabs = [...matrix.slabs];
    return yield* noting(steps, (dispatch) => {
      if (!PRODUCT.test(dispatch.label)) return note(dispatch, 0);
      note(dispatch, slabBytes(matrix, slabs.shift()!), nameOf(matrix));
    });
  }
  const observed: KernelSet<GPUBuffer> = {
    ...set,
    embed: (norm) => noting(set.embed(norm), (dispatch) => note(dispatch, 0)),
    qkv: (h, matrix, layer) => product(set.qkv(h, matrix, layer), matrix),
    attend: (q, layer) =>
      noting(set.attend(q, layer), (dispatch) => {
        const isReader = ATTENTION.test(dispatch.label);
        note(dispatch, isReader ? 2 * packedBytes(attention, positions) : 0);
      }),
    addInto: (x, y, matrix, norm) => product(set.addInto(x, y, matrix, norm), matrix),
    gate: (h, matrix) => product(set.gate(h, matrix), matrix),
    head: (h) => product(set.head(h), weights.head),
  };
  const { result: h } = record(forward(observed, weights));
  record(observed.head(h));
  note(draw.argmax.at(-1)!, 4 * weights.head.rows);
  return Array.from(kernels, ([name, noted]) => ({ name, noted }));
}

/** Bytes of weights that a pass of one row reads: of the embedding it is but a row, which does not count. */
export function weightBytes({ layers, head }: Weights): number {
  const matrices = [head, ...layers.flatMap(({ qkv, out, gateUp, down }) => [qkv, out, gateUp, down])];
  return matrices
    .flatMap((matrix) => matrix.slabs.map((slab) => slabBytes(matrix, slab)))
    .reduce((a, b) => a + b);
}

function slabBytes({ format, columns }: Matrix, { rows }: Slab): number {
  const { words, scales } = storedBytes(format, rows, columns);
  return words + scales;
}

/** What a matrix is in every layer. */
function nameOf({ label }: Matrix): string {
  return label.replace(/^layer \d+ /, "");
}

function* noting<Result>(steps: Steps<Result>, note: (dispatch: Dispatch) => void): Steps<Result> {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
    note(value);
    yield value;
  }
}
