import { expect, it } from "vitest";
import { COLUMN_MOMENTS } from "../../src/kernels/moments.ts";
import { prepare } from "../../src/kernels/way.ts";
import { columnMomentsOracle } from "../oracle/linear.ts";
import { expectClose } from "../support/close.ts";
import { runAndReadFloats, upload, useGpu } from "../support/gpu.ts";
import { randomFloats } from "../support/random.ts";
import { rowsFrom, uploadRows } from "../support/rows.ts";

/** Sums of at most 128 numbers, a rounding each. */
const RELATIVE = 1e-5;

const gpu = useGpu();

it.each([
  [1, 4],
  [3, 100],
  [33, 704],
  [128, 13824],
])("columnMoments of %i tokens agrees with float64 at width %i", async (tokens, columns) => {
  const x = randomFloats(tokens * columns, 1);
  const sums = upload(gpu(), new Float32Array(2 * columns));
  const kernel = await prepare(gpu(), COLUMN_MOMENTS, { columns });
  const dispatch = kernel({ x: upload(gpu(), x), sums, rows: uploadRows(gpu(), rowsFrom(7, tokens)) });
  const got = await runAndReadFloats(gpu(), [dispatch, dispatch], sums);
  const wanted = columnMomentsOracle(x, columns).map((sum) => 2 * sum);
  expectClose(got.subarray(0, 2 * columns), wanted, { relative: RELATIVE });
});

it("columnMoments leaves out rows that are no tokens", async () => {
  const x = new Float32Array(5 * 32).fill(1);
  x.fill(Number.NaN, 3 * 32);
  const sums = upload(gpu(), new Float32Array(64).fill(10));
  const kernel = await prepare(gpu(), COLUMN_MOMENTS, { columns: 32 });
  const dispatch = kernel({ x: upload(gpu(), x), sums, rows: uploadRows(gpu(), rowsFrom(0, 3)) });
  expect(await runAndReadFloats(gpu(), [dispatch], sums)).toEqual(new Float32Array(64).fill(13));
});
