import type { Bound } from "../../gpu/kernel.ts";
import { LINEAR, type LinearShape } from "../../kernels/linear.ts";
import { LINEAR_OF_QUADS, QUANTISE, quadsBytes } from "../../kernels/quads.ts";
import { ACTIVATIONS, activations, floatsOf, type Row } from "./inputs.ts";
import { dot, repeatedNoise, Worst } from "./numbers.ts";
import type { Stage } from "./stage.ts";
import { allowedFor, F32 } from "./tolerance.ts";
import { type Check, check, floats } from "./trial.ts";

/** u32 of a record of quads, and where in it the scales are: quantise.wgsl has the layout. */
const [RECORD, SCALES] = [80, 64];

/** How far the values are below the integers that they are rounded to, but for the largest of a group, by which it is scaled. */
const BELOW = 0.375;

/** What products with a slab leave in y [count, outputs], and what stands there before where they are added. */
function productOf(
  shape: LinearShape,
  weights: { readonly weight: Bound; readonly scales?: Bound },
  count: number,
  stage: Stage,
) {
  const { columns, rows, firstRow, outputs, accumulate } = shape;
  const row = activations(columns);
  const before = accumulate ? repeatedNoise(count * outputs, 2) : undefined;
  const wanted = new Float64Array(count * outputs);
  if (before) wanted.set(before);
  const products = Array.from({ length: Math.min(count, ACTIVATIONS) }, (_, t) =>
    stage.products(shape, weights, (weights) => dot(weights, row(t).values)),
  );
  for (let t = 0; t < count; t++) {
    const product = products[t % ACTIVATIONS]!;
    const at = t * outputs + firstRow;
    for (let n = 0; n < rows; n++) wanted[at + n]! += product(n);
  }
  return { row, y: floats(wanted, before) };
}

/** Rows as quads: 8-bit groups of 32, four rows side by side. */
function quadsOf(row: (t: number) => Row, count: number, columns: number): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(quadsBytes(count, columns) / 4);
  const [bytes, numbers] = [new Int8Array(words.buffer), new Float32Array(words.buffer)];
  for (let t = 0; t < count; t++) {
    const { quants, scaleOf } = row(t);
    for (let group = 0; group < columns / 32; group++) {
      const record = RECORD * (Math.floor(t / 4) * Math.ceil(columns / 64) + (group >> 1));
      const into = 4 * (record + 16 * (t % 4) + 8 * (group % 2));
      let sum = 0;
      for (let i = 0; i < 32; i++) {
        bytes[into + i] = quants[32 * group + i]!;
        sum += quants[32 * group + i]!;
      }
      const at = record + SCALES + 4 * (t % 4) + 2 * (group % 2);
      numbers[at] = scaleOf(group);
      numbers[at + 1] = scaleOf(group) * sum;
    }
  }
  return words;
}

/** How far quads are from those that are wanted: their integers are the same, their scales and sums nearly so. */
function quadsError(words: Uint32Array, wanted: Uint32Array): number {
  const worst = new Worst();
  const [got, numbers] = [words, wanted].map((some) => new Float32Array(some.slice().buffer));
  for (let i = 0; i < wanted.length; i++) {
    if (i % RECORD >= SCALES) worst.note(got![i]!, numbers![i]!, Number.MIN_VALUE);
    else if (words[i] !== wanted[i]) worst.note(1, 0, Number.MIN_VALUE);
  }
  return worst.error;
}

/** The products of `plain`. */
export const PRODUCT_CHECKS: readonly Check[] = [
  check(LINEAR, (shape, buffers, stage, way) => {
    const count = shape.tokens === 1 ? 1 : stage.countOf(buffers.rows);
    const { row, y } = productOf(shape, buffers, count, stage);
    return {
      inputs: { x: floatsOf(row, count, shape.columns) },
      outputs: { y },
      allowed: allowedFor(way),
    };
  }),
  check(QUANTISE, ({ columns }, { rows }, stage) => {
    const row = activations(columns);
    const count = stage.countOf(rows);
    const wanted = quadsOf(row, count, columns);
    const quads = {
      slices: [{ from: 0, bytes: wanted.byteLength }],
      isWhole: true,
      error: (words: Uint32Array) => quadsError(words, wanted),
    };
    const x = floatsOf(row, count, columns);
    for (let t = 0; t < count; t++) {
      const { quants, scaleOf } = row(t);
      for (let group = 0; group < columns / 32; group++) {
        const below = BELOW * scaleOf(group);
        for (let k = 32 * group; k < 32 * group + 32; k++) {
          if (Math.abs(quants[k]!) < 127) x[t * columns + k]! -= below;
        }
      }
    }
    return { inputs: { x }, outputs: { quads }, allowed: F32 };
  }),
  check(LINEAR_OF_QUADS, (shape, buffers, stage) => {
    const count = stage.countOf(buffers.rows);
    const { row, y } = productOf(shape, buffers, count, stage);
    return { inputs: { input: quadsOf(row, count, shape.columns) }, outputs: { y }, allowed: F32 };
  }),
];
