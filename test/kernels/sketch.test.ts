import { describe, expect, it } from "vitest";
import { PROJECT, PROJECTIONS, SKETCH, signsOf } from "../../src/kernels/sketch.ts";
import { prepare } from "../../src/kernels/way.ts";
import { projectOracle, sketchOracle } from "../oracle/linear.ts";
import { expectClose } from "../support/close.ts";
import { runAndReadFloats, upload, useGpu } from "../support/gpu.ts";
import { randomFloats } from "../support/random.ts";
import { rowsFrom, uploadRows } from "../support/rows.ts";

/** Sums of 13,824 numbers of both signs, 216 in a lane, a rounding each. */
const PROJECTED = 1e-5;
/** Sums of at most 128 products, two roundings each. */
const SKETCHED = 1e-5;

/** How far a share of ones of fair coins may be from a half: four standard deviations. */
const FAIR = (count: number) => 4 * 0.5 * count ** -0.5;

const SHAPES: [tokens: number, columns: number][] = [
  [1, 4],
  [33, 704],
  [128, 13824],
];

const gpu = useGpu();

describe("project", () => {
  it.each(SHAPES)("of %i tokens agrees with float64 at width %i", async (tokens, columns) => {
    const x = randomFloats(tokens * columns, 1);
    const projections = upload(gpu(), new Float32Array(tokens * PROJECTIONS));
    const kernel = await prepare(gpu(), PROJECT, { columns, tokens });
    const rows = uploadRows(gpu(), rowsFrom(7, tokens));
    const got = await runAndReadFloats(
      gpu(),
      [kernel({ x: upload(gpu(), x), projections, rows })],
      projections,
    );
    const wanted = projectOracle(x, columns, signsOf, PROJECTIONS);
    expectClose(got.subarray(0, wanted.length), wanted, { relative: PROJECTED });
  });

  it("leaves rows alone that are no tokens", async () => {
    const projections = upload(gpu(), new Float32Array(5 * PROJECTIONS).fill(7));
    const kernel = await prepare(gpu(), PROJECT, { columns: 32, tokens: 5 });
    const x = upload(gpu(), new Float32Array(5 * 32));
    const rows = uploadRows(gpu(), rowsFrom(0, 3));
    const got = await runAndReadFloats(gpu(), [kernel({ x, projections, rows })], projections);
    expect([...got]).toEqual([...new Array(3 * PROJECTIONS).fill(0), ...new Array(2 * PROJECTIONS).fill(7)]);
  });

  it("adds and subtracts columns as coins would fall, each pair of projections by coins of their own", () => {
    const columns = 13824;
    const signs = Array.from({ length: columns }, (_, k) => signsOf(k));
    for (let i = 0; i < PROJECTIONS; i++) {
      for (let j = i; j < PROJECTIONS; j++) {
        // Whether bit i is set, or differs from bit j.
        const ones = signs.filter((bits) => ((bits >>> i) ^ (i === j ? 0 : bits >>> j)) & 1).length;
        expect(Math.abs(ones / columns - 0.5)).toBeLessThan(FAIR(columns));
      }
    }
  });
});

describe("sketch", () => {
  it.each(SHAPES)("of %i tokens agrees with float64 at width %i", async (tokens, columns) => {
    const x = randomFloats(tokens * columns, 2);
    const projections = randomFloats(tokens * PROJECTIONS, 3);
    const sketch = upload(gpu(), new Float32Array(PROJECTIONS * columns));
    const kernel = await prepare(gpu(), SKETCH, { columns });
    const [uploaded, projected] = [upload(gpu(), x), upload(gpu(), projections)];
    const rows = uploadRows(gpu(), rowsFrom(7, tokens));
    const dispatch = kernel({ x: uploaded, projections: projected, sketch, rows });
    const got = await runAndReadFloats(gpu(), [dispatch, dispatch], sketch);
    const wanted = sketchOracle(x, projections, columns, PROJECTIONS).map((sum) => 2 * sum);
    expectClose(got.subarray(0, wanted.length), wanted, { relative: SKETCHED });
  });

  it("leaves out rows that are no tokens", async () => {
    const x = new Float32Array(5 * 32).fill(1);
    const projections = new Float32Array(5 * PROJECTIONS).fill(1);
    x.fill(Number.NaN, 3 * 32);
    const sketch = upload(gpu(), new Float32Array(PROJECTIONS * 32).fill(10));
    const kernel = await prepare(gpu(), SKETCH, { columns: 32 });
    const [uploaded, projected] = [upload(gpu(), x), upload(gpu(), projections)];
    const rows = uploadRows(gpu(), rowsFrom(0, 3));
    const dispatch = kernel({ x: uploaded, projections: projected, sketch, rows });
    expect(await runAndReadFloats(gpu(), [dispatch], sketch)).toEqual(
      new Float32Array(PROJECTIONS * 32).fill(13),
    );
  });
});
