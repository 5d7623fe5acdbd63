import { describe, expect, it } from "vitest";
import { DAWN_SUBGROUP_MATRIX } from "../../node/host.ts";
import { fromHalf, toHalf } from "../../src/f16.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { LINEAR, type Linear, linear } from "../../src/kernels/linear.ts";
import { waysFor } from "../../src/kernels/way.ts";
import { storedBytes, WEIGHT_FORMATS, type WeightFormat } from "../../src/stored.ts";
import { matmulOracle } from "../oracle/linear.ts";
import { expectClose } from "../support/close.ts";
import { runAndReadFloats, testDeviceOptions, upload, useGpu } from "../support/gpu.ts";
import { storeMatrix } from "../support/matrix.ts";
import { randomFloats } from "../support/random.ts";
import { rowsFrom, uploadRows } from "../support/rows.ts";

/**
 * f32 sums of up to 13,824 products in another order than the oracle's: the error of a sum grows with its largest
 * partial sums, and where an outlier meets an outlier a product is 400 times the usual one.
 */
const RELATIVE = 5e-5;
/** [rows, columns], each a pipeline to compile: for every format a width of 13B and rows of three groups, whose scales
 * leave some of their words empty; the others for one. */
const FOR_ALL = [
  [33, 13824],
  [7, 96],
] as const;
const FOR_ONE = [
  [1, 32],
  [130, 704],
  [37, 5120],
] as const;
const CASES = [
  ...WEIGHT_FORMATS.flatMap((format) => FOR_ALL.map((shape) => [format, ...shape] as const)),
  ...FOR_ONE.map((shape) => ["f16", ...shape] as const),
  ["q4", 130, 704] as const,
];

/** Rows of one pass: around a tile of 32, and the shipped chunk. */
const TOKENS = [2, 5, 32, 33, 128];

/** Every count up to a few, and more than a chunk, at one odd shape. */
const COUNTS = [...Array.from({ length: 17 }, (_, i) => i + 1), 64, 100, 512];

/** What several rows go by. */
const MATMULS = LINEAR.ways.map(({ name }) => name).filter((name) => !name.startsWith("matvec"));
/** Whether a way rounds what it multiplies to halves. */
const rounds = (way: string) => way.startsWith("matrix");

// Where the adapter multiplies matrices, those ways are held to the oracle too.
const gpu = useGpu(testDeviceOptions(), [DAWN_SUBGROUP_MATRIX]);
const has = (way: string, format: WeightFormat = "f16") => {
  const shape = { format, columns: 32, rows: 1, firstRow: 0, outputs: 1, tokens: 2, accumulate: false };
  return waysFor(gpu(), LINEAR, shape).some(({ name }) => name === way);
};

/** The adapter's limits would need matrices of hundreds of megabytes; the same code runs at smaller ones. */
const LIMITS = [
  ["binding", { bindingLimit: { value: storedBytes("q8", 64, 96).words } }],
  ["grid", { workgroupLimit: { value: 16 } }],
] as const;
const SPLIT = { format: "q8", rows: 86, columns: 96, tokens: 34 } as const;

/** A way that has to be there: whoever runs the tests for its sake is not to be told that all is well without it. */
const { ZIYA_TEST_WAY: asked } = process.env;
it.runIf(asked)(`linear has the way ${asked}`, () => expect(has(asked!)).toBe(true));

interface Case {
  readonly format: WeightFormat;
  readonly rows: number;
  readonly columns: number;
  readonly tokens: number;
  /** What y holds before. */
  readonly before?: Float32Array;
  /** Where the matrix is allocated and its kernels are compiled. */
  readonly on?: Gpu;
}

/** The nearest halves. */
const halves = (values: Float32Array) => values.map((value) => fromHalf(toHalf(value)));

/**
 * What the kernels make of a random matrix and random x, and what float64 does; matvec takes the first row of x. Ways by
 * matrices round both to halves, which leaves at most 2^-11 of each undone, and are held to float64 of what they multiply.
 */
async function products({ format, rows, columns, tokens, before, on = gpu() }: Case, way = "matmul") {
  const x = randomFloats(tokens * columns, 2);
  const { matrix, stored } = storeMatrix(on, format, randomFloats(rows * columns, 1, 0.05), columns);
  const rounded = rounds(way) ? halves : (values: Float32Array) => values;
  const exact = matmulOracle(rounded(stored), rounded(x), rows, columns);
  const wanted = exact.map((v, i) => v + (before?.[i] ?? 0));
  const run = async (multiply: Linear, count: number) => {
    const y = upload(gpu(), (before ?? new Float32Array(tokens * rows)).slice(0, count * rows));
    const pass = uploadRows(gpu(), rowsFrom(0, count));
    const got = await runAndReadFloats(gpu(), multiply({ x: upload(gpu(), x), y, rows: pass }), y);
    expectClose(got.subarray(0, count * rows), wanted.subarray(0, count * rows), { relative: RELATIVE });
  };
  const accumulate = before !== undefined;
  return {
    matrix,
    matvecAgrees: async () => run(await linear(on, matrix, 1, { accumulate }), 1),
    matmulAgrees: async (count = tokens) =>
      run(await linear(on, matrix, Math.max(count, 2), { accumulate, way }), count),
  };
}

describe("linear agrees with float64 as matvec", () => {
  it.each(CASES)("stored as %s, at [%i, %i]", async (format, rows, columns) => {
    await (await products({ format, rows, columns, tokens: 1 })).matvecAgrees();
  });

  it("added to y when it accumulates", async () => {
    const [rows, columns] = [9, 64];
    const before = randomFloats(rows, 4);
    await (await products({ format: "f16", rows, columns, tokens: 1, before })).matvecAgrees();
  });

  it.each(LIMITS)("split by rows above the %s limit", async (_, limit) => {
    const { matrix, matvecAgrees } = await products({ ...SPLIT, on: Object.create(gpu(), limit) });
    expect(matrix.slabs.map((slab) => slab.rows)).toEqual([64, 22]);
    await matvecAgrees();
  });
});

describe.each(MATMULS)("linear agrees with float64 as %s", (way) => {
  it.each(CASES)("stored as %s, at [%i, %i]", async (format, rows, columns) => {
    if (!has(way, format)) return;
    const { matmulAgrees } = await products({ format, rows, columns, tokens: 128 }, way);
    for (const tokens of TOKENS) await matmulAgrees(tokens);
  });

  it("whatever the rows of the pass", async () => {
    if (!has(way)) return;
    const { matmulAgrees } = await products({ format: "f16", rows: 37, columns: 160, tokens: 512 }, way);
    for (const tokens of COUNTS) await matmulAgrees(tokens);
  });

  it("added to y when it accumulates", async () => {
    if (!has(way)) return;
    const [rows, columns, tokens] = [9, 64, 3];
    const before = randomFloats(tokens * rows, 4);
    await (await products({ format: "f16", rows, columns, tokens, before }, way)).matmulAgrees();
  });

  it.each(LIMITS)("split by rows above the %s limit", async (_, limit) => {
    if (!has(way)) return;
    const { matrix, matmulAgrees } = await products({ ...SPLIT, on: Object.create(gpu(), limit) }, way);
    expect(matrix.slabs.map((slab) => slab.rows)).toEqual([64, 22]);
    await matmulAgrees();
  });

  // Three in place of those that the adapter has, for a tile of four blocks.
  it("by fewer subgroups than are wanted at once", async () => {
    if (!rounds(way) || !has(way)) return;
    const readShader = async (name: string) => {
      const text = await gpu().readShader(name);
      if (name !== "matmul_matrix") return text;
      const given = "num_subgroups) subgroups: u32,\n) {";
      expect(text).toContain(given);
      return text.replace(given, "num_subgroups) all: u32,\n) {\n  let subgroups = min(all, 3u);");
    };
    const on = Object.create(gpu(), { readShader: { value: readShader }, made: { value: new Map() } });
    await (await products({ format: "f16", rows: 70, columns: 96, tokens: 130, on }, way)).matmulAgrees();
  });

  it("leaving rows that are no tokens alone", async () => {
    if (!has(way)) return;
    const [tokens, rows, columns] = [40, 32, 32];
    const { matrix } = storeMatrix(gpu(), "f16", randomFloats(rows * columns, 1), columns);
    const y = upload(gpu(), new Float32Array(tokens * rows).fill(7));
    const multiply = await linear(gpu(), matrix, tokens, { way });
    const x = upload(gpu(), randomFloats(tokens * columns, 2));
    const got = await runAndReadFloats(gpu(), multiply({ x, y, rows: uploadRows(gpu(), rowsFrom(0, 5)) }), y);
    expect(got.subarray(0, rows)).not.toContain(7);
    expect(new Set(got.subarray(5 * rows, tokens * rows))).toEqual(new Set([7]));
  });

  it("keeping what is no number, and what no half holds", async () => {
    if (!has(way)) return;
    const [rows, columns] = [3, 64];
    const values = [65519, -65519, 65520, -1e38, Number.POSITIVE_INFINITY, Number.NaN];
    const tokens = values.length;
    const { matrix } = storeMatrix(gpu(), "f16", randomFloats(rows * columns, 1), columns);
    const x = randomFloats(tokens * columns, 2);
    for (const [token, value] of values.entries()) x[token * columns + 11 * token] = value;
    const y = upload(gpu(), new Float32Array(tokens * rows));
    const multiply = await linear(gpu(), matrix, tokens, { way });
    const buffers = { x: upload(gpu(), x), y, rows: uploadRows(gpu(), rowsFrom(0, tokens)) };
    const got = await runAndReadFloats(gpu(), multiply(buffers), y);
    const rowsThat = (is: (value: number) => boolean) =>
      values.filter((_, t) => got.subarray(t * rows, (t + 1) * rows).every(is));
    expect(rowsThat(Number.isFinite)).toEqual(values.slice(0, rounds(way) ? 2 : 4));
    // By its bits, not by what a compiler makes of a number that no half holds.
    if (rounds(way)) expect(rowsThat(Number.isNaN)).toEqual(values.slice(2));
  });
});
