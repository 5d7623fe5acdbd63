import { ADD, EMBED_GROUP, GATE, HEAD, QKV } from "../../kernels/fused.ts";
import { vectorOf } from "../../kernels/vector.ts";
import { activations } from "./inputs.ts";
import { dot, gated, inverseRms, repeatedNoise } from "./numbers.ts";
import { anglesAt, appended, stayed, turned } from "./rope.ts";
import { F32, PRODUCTS } from "./tolerance.ts";
import { type Check, check, floats } from "./trial.ts";
import { vector } from "./vectors.ts";

/** The kernels of one row that make and take what goes between products. */
export const FUSED_CHECKS: readonly Check[] = [
  check(EMBED_GROUP, (shape, buffers, stage) => {
    const { columns, rows, firstRow, arithmetic } = shape;
    const { token } = stage.scene.rows[0]!;
    const norm = repeatedNoise(columns, 3);
    const isHere = token >= firstRow && token < firstRow + rows;
    const row = stage.weightsOf(shape, buffers)(isHere ? token - firstRow : 0);
    const x = Float64Array.from(row, (value) => (isHere ? value : 0));
    const stored = vector(arithmetic, {
      values: x.map((value, k) => value * norm[k]!),
      squares: x.map((value) => value * value),
    });
    return { inputs: { norm }, outputs: { x: floats(x), stored }, allowed: F32 };
  }),
  check(
    QKV,
    (shape, buffers, stage) => {
      const { columns, attention, arithmetic, eps } = shape;
      const { heads, kvHeads, headDim } = attention;
      const { quants, scaleOf, values, squares } = activations(columns)(0);
      const factor = inverseRms(squares, columns, eps);
      const product = stage.products(shape, buffers, (weights) => factor * dot(weights, values));
      const angles = anglesAt(attention, stage.config, stage.scene.rows[0]!.position);
      const head = (h: number) => Float64Array.from({ length: headDim }, (_, i) => product(h * headDim + i));
      const all = (count: number, headOf: (h: number) => Float64Array) =>
        Float64Array.from(Array.from({ length: count }, (_, h) => [...headOf(h)]).flat());
      const rotated = (h: number) => turned(attention, head(h), angles);
      return {
        inputs: { input: vectorOf(arithmetic, quants, scaleOf) },
        outputs: {
          q: floats(all(heads, rotated)),
          keys: appended(attention, stage.scene, [0], () => all(kvHeads, (h) => rotated(heads + h))),
          values: appended(attention, stage.scene, [0], () =>
            all(kvHeads, (h) => stayed(attention, head(heads + kvHeads + h))),
          ),
        },
        allowed: PRODUCTS[arithmetic],
      };
    },
    { writesCache: true },
  ),
  check(ADD, (shape, buffers, stage) => {
    const { columns, rows, firstRow, storedColumns, arithmetic } = shape;
    const { quants, scaleOf, values } = activations(columns)(0);
    const product = stage.products(shape, buffers, (weights) => dot(weights, values));
    const [before, norm] = [repeatedNoise(storedColumns, 2), repeatedNoise(storedColumns, 3)];
    const x = Float64Array.from(before);
    for (let n = 0; n < rows; n++) x[firstRow + n]! += product(n);
    const stored = vector(arithmetic, {
      values: x.map((value, k) => value * norm[k]!),
      squares: x.map((value) => value * value),
      groups: [firstRow / 32, (firstRow + rows) / 32],
    });
    return {
      inputs: { input: vectorOf(arithmetic, quants, scaleOf), norm },
      outputs: { x: floats(x, before), stored },
      allowed: PRODUCTS[arithmetic],
    };
  }),
  check(GATE, (shape, buffers, stage) => {
    const { columns, storedColumns: hidden, arithmetic, eps } = shape;
    const { quants, scaleOf, values, squares } = activations(columns)(0);
    const factor = inverseRms(squares, columns, eps);
    const product = stage.products(shape, buffers, (weights) => factor * dot(weights, values));
    const wanted = Float64Array.from({ length: hidden }, (_, i) => gated(product(i), product(hidden + i)));
    return {
      inputs: { input: vectorOf(arithmetic, quants, scaleOf) },
      outputs: { stored: vector(arithmetic, { values: wanted }) },
      allowed: PRODUCTS[arithmetic],
    };
  }),
  check(HEAD, (shape, buffers, stage) => {
    const { columns, rows, firstRow, outputs, arithmetic, eps } = shape;
    const { quants, scaleOf, values, squares } = activations(columns)(0);
    const factor = inverseRms(squares, columns, eps);
    const product = stage.products(shape, buffers, (weights) => factor * dot(weights, values));
    const wanted = new Float64Array(outputs);
    for (let n = 0; n < rows; n++) wanted[firstRow + n] = product(n);
    return {
      inputs: { input: vectorOf(arithmetic, quants, scaleOf) },
      outputs: { logits: floats(wanted) },
      allowed: PRODUCTS[arithmetic],
    };
  }),
];
