import { describe, expect, it } from "vitest";
import { matmul, matvec } from "../../src/kernels/linear.ts";
import { storedBytes } from "../../src/kernels/matrix.ts";
import { matmulOracle } from "../oracle/linear.ts";
import { expectClose } from "../support/close.ts";
import { runAndReadFloats, upload, uploadStep, useGpu } from "../support/gpu.ts";
import { storeMatrix } from "../support/matrix.ts";
import { randomFloats } from "../support/random.ts";

/**
 * f32 sums of up to 13,824 products in another order than the oracle's: the error of a sum grows with its largest
 * partial sums, and where an outlier meets an outlier a product is 400 times the usual one.
 */
const RELATIVE = 5e-5;

const FORMATS = ["f32", "f16", "q8", "q4a", "q4"] as const;
const ODD_SHAPES = [
  [1, 32],
  [7, 96],
  [65, 256],
  [130, 704],
] as const;
/** [rows, columns] at the true widths, with few rows: the columns are what the sums run over. */
const TRUE_WIDTHS = [
  [37, 5120],
  [33, 13824],
] as const;

const gpu = useGpu();

describe.each(FORMATS)("linear with weights stored as %s", (format) => {
  it.each([...ODD_SHAPES, ...TRUE_WIDTHS])(
    "matvec agrees with float64 at [%i, %i]",
    async (rows, columns) => {
      const x = randomFloats(columns, 2);
      const { matrix, stored } = storeMatrix(gpu(), format, randomFloats(rows * columns, 1, 0.05), columns);
      const y = upload(gpu(), new Float32Array(rows));
      const linear = await matvec(gpu(), matrix);
      const got = await runAndReadFloats(
        gpu(),
        linear({ x: upload(gpu(), x), y, step: uploadStep(gpu(), 0, 1) }),
        y,
      );
      expectClose(got.subarray(0, rows), matmulOracle(stored, x, rows, columns), { relative: RELATIVE });
    },
  );

  it.each([
    [1, 7, 96],
    [5, 65, 256],
    [32, 33, 64],
    [33, 130, 704],
    [70, 40, 5120],
  ])("matmul of %i tokens agrees with float64 at [%i, %i]", async (tokens, rows, columns) => {
    const x = randomFloats(tokens * columns, 2);
    const { matrix, stored } = storeMatrix(gpu(), format, randomFloats(rows * columns, 1, 0.05), columns);
    const y = upload(gpu(), new Float32Array(tokens * rows));
    const linear = await matmul(gpu(), matrix, tokens);
    const got = await runAndReadFloats(
      gpu(),
      linear({ x: upload(gpu(), x), y, step: uploadStep(gpu(), 0, tokens) }),
      y,
    );
    expectClose(got.subarray(0, tokens * rows), matmulOracle(stored, x, rows, columns), {
      relative: RELATIVE,
    });
  });

  it("adds to y when it accumulates", async () => {
    const [tokens, rows, columns] = [3, 9, 64];
    const x = randomFloats(tokens * columns, 3);
    const before = randomFloats(tokens * rows, 4);
    const { matrix, stored } = storeMatrix(gpu(), format, randomFloats(rows * columns, 1), columns);
    const wanted = matmulOracle(stored, x, rows, columns).map((v, i) => v + before[i]!);
    const buffers = { x: upload(gpu(), x), step: uploadStep(gpu(), 0, tokens) };
    const many = upload(gpu(), before);
    const multiply = await matmul(gpu(), matrix, tokens, { accumulate: true });
    const got = await runAndReadFloats(gpu(), multiply({ ...buffers, y: many }), many);
    expectClose(got.subarray(0, tokens * rows), wanted, { relative: RELATIVE });
    const one = upload(gpu(), before);
    const vector = await matvec(gpu(), matrix, { accumulate: true });
    const first = await runAndReadFloats(gpu(), vector({ ...buffers, y: one }), one);
    expectClose(first.subarray(0, rows), wanted.subarray(0, rows), { relative: RELATIVE });
  });

  it("splits a matrix by rows above the binding limit", async () => {
    // The adapter's limit would need hundreds of megabytes; the same code path is taken at a smaller one.
    const [tokens, rows, columns] = [34, 150, 96];
    const limit = storedBytes(format, 64, columns).weight;
    const small = Object.create(gpu(), { bindingLimit: { value: limit } });
    const x = randomFloats(tokens * columns, 5);
    const { matrix, stored } = storeMatrix(small, format, randomFloats(rows * columns, 6), columns);
    expect(matrix.slabs.map((slab) => slab.rows)).toEqual([64, 64, 22]);
    const wanted = matmulOracle(stored, x, rows, columns);
    const buffers = { x: upload(gpu(), x), step: uploadStep(gpu(), 0, tokens) };
    const y = upload(gpu(), new Float32Array(tokens * rows));
    const multiply = await matmul(gpu(), matrix, tokens);
    const got = await runAndReadFloats(gpu(), multiply({ ...buffers, y }), y);
    expectClose(got.subarray(0, tokens * rows), wanted, { relative: RELATIVE });
    const vector = await matvec(gpu(), matrix);
    const first = await runAndReadFloats(gpu(), vector({ ...buffers, y }), y);
    expectClose(first.subarray(0, rows), wanted.subarray(0, rows), { relative: RELATIVE });
  });
});

it("matmul leaves rows that are no tokens alone", async () => {
  const [tokens, rows, columns] = [40, 32, 32];
  const { matrix } = storeMatrix(gpu(), "f32", randomFloats(rows * columns, 1), columns);
  const y = upload(gpu(), new Float32Array(tokens * rows).fill(7));
  const linear = await matmul(gpu(), matrix, tokens);
  const x = upload(gpu(), randomFloats(tokens * columns, 2));
  const got = await runAndReadFloats(gpu(), linear({ x, y, step: uploadStep(gpu(), 0, 5) }), y);
  expect(got.subarray(0, rows)).not.toContain(7);
  expect(new Set(got.subarray(5 * rows, tokens * rows))).toEqual(new Set([7]));
});
