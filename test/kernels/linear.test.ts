import { describe, expect, it } from "vitest";
import type { Gpu } from "../../src/gpu/device.ts";
import { type Linear, linear } from "../../src/kernels/linear.ts";
import { storedBytes, WEIGHT_FORMATS, type WeightFormat } from "../../src/stored.ts";
import { matmulOracle } from "../oracle/linear.ts";
import { expectClose } from "../support/close.ts";
import { runAndReadFloats, upload, useGpu } from "../support/gpu.ts";
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

const gpu = useGpu();

interface Case {
  readonly format: WeightFormat;
  readonly rows: number;
  readonly columns: number;
  readonly tokens: number;
  /** What y holds before. */
  readonly before?: Float32Array;
  /** Where the matrix is allocated. */
  readonly on?: Gpu;
}

/** What both kernels make of a random matrix and random x, and what float64 does; matvec takes the first row of x. */
async function products({ format, rows, columns, tokens, before, on = gpu() }: Case) {
  const x = randomFloats(tokens * columns, 2);
  const { matrix, stored } = storeMatrix(on, format, randomFloats(rows * columns, 1, 0.05), columns);
  const wanted = matmulOracle(stored, x, rows, columns).map((v, i) => v + (before?.[i] ?? 0));
  const run = async (multiply: Linear, count: number) => {
    const y = upload(gpu(), (before ?? new Float32Array(tokens * rows)).slice(0, count * rows));
    const pass = uploadRows(gpu(), rowsFrom(0, count));
    const got = await runAndReadFloats(gpu(), multiply({ x: upload(gpu(), x), y, rows: pass }), y);
    expectClose(got.subarray(0, count * rows), wanted.subarray(0, count * rows), { relative: RELATIVE });
  };
  const options = { accumulate: before !== undefined };
  return {
    matrix,
    matvecAgrees: async () => run(await linear(gpu(), matrix, 1, options), 1),
    matmulAgrees: async (count = tokens) => run(await linear(gpu(), matrix, count, options), count),
  };
}

describe("linear agrees with float64", () => {
  it.each(CASES)("as matvec, stored as %s, at [%i, %i]", async (format, rows, columns) => {
    await (await products({ format, rows, columns, tokens: 1 })).matvecAgrees();
  });

  it.each(CASES)("as matmul, stored as %s, at [%i, %i]", async (format, rows, columns) => {
    const { matmulAgrees } = await products({ format, rows, columns, tokens: 128 });
    for (const tokens of TOKENS) await matmulAgrees(tokens);
  });

  it("added to y when it accumulates", async () => {
    const [rows, columns, tokens] = [9, 64, 3];
    const before = randomFloats(tokens * rows, 4);
    const { matvecAgrees, matmulAgrees } = await products({ format: "f16", rows, columns, tokens, before });
    await matmulAgrees();
    await matvecAgrees();
  });

  // The adapter's limits would need matrices of hundreds of megabytes; the same code runs at smaller ones.
  it.each([
    ["binding", { bindingLimit: { value: storedBytes("q8", 64, 96).words } }],
    ["grid", { workgroupLimit: { value: 16 } }],
  ])("split by rows above the %s limit", async (_, limit) => {
    const [rows, columns, tokens] = [86, 96, 34];
    const on: Gpu = Object.create(gpu(), limit);
    const { matrix, matvecAgrees, matmulAgrees } = await products({
      format: "q8",
      rows,
      columns,
      tokens,
      on,
    });
    expect(matrix.slabs.map((slab) => slab.rows)).toEqual([64, 22]);
    await matvecAgrees();
    await matmulAgrees();
  });
});

it("matmul leaves rows that are no tokens alone", async () => {
  const [tokens, rows, columns] = [40, 32, 32];
  const { matrix } = storeMatrix(gpu(), "f16", randomFloats(rows * columns, 1), columns);
  const y = upload(gpu(), new Float32Array(tokens * rows).fill(7));
  const multiply = await linear(gpu(), matrix, tokens);
  const x = upload(gpu(), randomFloats(tokens * columns, 2));
  const got = await runAndReadFloats(gpu(), multiply({ x, y, rows: uploadRows(gpu(), rowsFrom(0, 5)) }), y);
  expect(got.subarray(0, rows)).not.toContain(7);
  expect(new Set(got.subarray(5 * rows, tokens * rows))).toEqual(new Set([7]));
});
