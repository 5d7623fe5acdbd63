import { EMBED } from "../../kernels/embed.ts";
import { COLUMN_MOMENTS } from "../../kernels/moments.ts";
import { PICK } from "../../kernels/pick.ts";
import { RMSNORM } from "../../kernels/rmsnorm.ts";
import { PROJECT, PROJECTIONS, SKETCH, signsOf } from "../../kernels/sketch.ts";
import { SWIGLU } from "../../kernels/swiglu.ts";
import { dot, gated, inverseRms, repeatedNoise } from "./numbers.ts";
import { F32 } from "./tolerance.ts";
import { type Check, check, exactly, floats } from "./trial.ts";

/** What `plain` does to rows one by one, and calibration to all of them. */
export const ELEMENTWISE_CHECKS: readonly Check[] = [
  check(EMBED, (shape, buffers, stage) => {
    const { columns, rows, firstRow } = shape;
    const count = stage.countOf(buffers.rows);
    const rowOf = stage.weightsOf(shape, buffers);
    const wanted = new Float64Array(count * columns);
    for (let t = 0; t < count; t++) {
      const row = stage.scene.rows[t]!.token - firstRow;
      if (row >= 0 && row < rows) wanted.set(rowOf(row), t * columns);
    }
    return { inputs: {}, outputs: { y: floats(wanted) }, allowed: F32 };
  }),
  check(RMSNORM, ({ dim, eps }, { rows }, stage) => {
    const count = stage.countOf(rows);
    const [x, weight] = [repeatedNoise(count * dim, 4), repeatedNoise(dim, 3)];
    const wanted = new Float64Array(count * dim);
    for (let t = 0; t < count; t++) {
      const row = x.subarray(t * dim, (t + 1) * dim);
      const factor = inverseRms(dot(row, row), dim, eps);
      for (let i = 0; i < dim; i++) wanted[t * dim + i] = row[i]! * factor * weight[i]!;
    }
    return { inputs: { x, weight }, outputs: { y: floats(wanted) }, allowed: F32 };
  }),
  check(SWIGLU, ({ hidden }, { rows }, stage) => {
    const count = stage.countOf(rows);
    // Up to where silu is nearly 0 on one side and nearly its argument on the other.
    const gateUp = repeatedNoise(count * 2 * hidden, 5, 12);
    const wanted = new Float64Array(count * hidden);
    for (let at = 0; at < wanted.length; at++) {
      const gate = Math.floor(at / hidden) * hidden + at;
      wanted[at] = gated(gateUp[gate]!, gateUp[gate + hidden]!);
    }
    return { inputs: { gateUp }, outputs: { y: floats(wanted) }, allowed: F32 };
  }),
  check(PICK, ({ dim }, _, stage) => {
    const { rows, drawn } = stage.scene;
    const x = repeatedNoise(rows.length * dim, 6);
    const bits = new Uint32Array(x.buffer);
    const wanted = drawn.flatMap((t) => [...bits.subarray(t * dim, (t + 1) * dim)]);
    return { inputs: { x }, outputs: { y: exactly(wanted) }, allowed: 0 };
  }),
  check(COLUMN_MOMENTS, ({ columns }, { rows }, stage) => {
    const count = stage.countOf(rows);
    const [x, before] = [repeatedNoise(count * columns, 12), repeatedNoise(2 * columns, 13)];
    const wanted = Float64Array.from(before);
    for (let at = 0; at < x.length; at++) {
      const k = at % columns;
      wanted[k]! += x[at]! ** 2;
      wanted[columns + k]! += x[at]!;
    }
    return { inputs: { x }, outputs: { sums: floats(wanted, before) }, allowed: F32 };
  }),
  check(PROJECT, ({ columns }, { rows }, stage) => {
    const count = stage.countOf(rows);
    const x = repeatedNoise(count * columns, 14);
    const wanted = new Float64Array(count * PROJECTIONS);
    for (let k = 0; k < columns; k++) {
      const signs = signsOf(k);
      for (let at = 0; at < wanted.length; at++) {
        const value = x[Math.floor(at / PROJECTIONS) * columns + k]!;
        wanted[at]! += (signs >>> (at % PROJECTIONS)) & 1 ? value : -value;
      }
    }
    return { inputs: { x }, outputs: { projections: floats(wanted) }, allowed: F32 };
  }),
  check(SKETCH, ({ columns }, { rows }, stage) => {
    const count = stage.countOf(rows);
    const [x, projections] = [repeatedNoise(count * columns, 15), repeatedNoise(count * PROJECTIONS, 16)];
    const before = repeatedNoise(PROJECTIONS * columns, 17);
    const wanted = Float64Array.from(before);
    for (let t = 0; t < count; t++) {
      for (let at = 0; at < wanted.length; at++) {
        const projection = projections[t * PROJECTIONS + Math.floor(at / columns)]!;
        wanted[at]! += projection * x[t * columns + (at % columns)]!;
      }
    }
    return { inputs: { x, projections }, outputs: { sketch: floats(wanted, before) }, allowed: F32 };
  }),
];
