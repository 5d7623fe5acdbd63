import { describe, expect, it } from "vitest";
import { missingFeatures } from "../../src/gpu/features.ts";
import { LINEAR_OF_QUADS, linearOfQuads, QUANTISE, quadsBytes } from "../../src/kernels/quads.ts";
import { prepare, waysFor } from "../../src/kernels/way.ts";
import { matmulOracle } from "../oracle/linear.ts";
import { expectClose } from "../support/close.ts";
import { runAndRead, runAndReadFloats, upload, useGpu } from "../support/gpu.ts";
import { storeMatrix } from "../support/matrix.ts";
import { decodeQuads } from "../support/quads.ts";
import { randomFloats } from "../support/random.ts";
import { rowsFrom, uploadRows } from "../support/rows.ts";

/** f32 sums of up to 13,824 columns, a group of 32 of which is exact. */
const RELATIVE = 5e-5;
/** Of a step: x times 127 / largest, both rounded to f32, is off by three parts in 2^24 of at most 127. */
const ROUNDING = 0.5 + 1e-4;

/** [format, rows, columns] */
const CASES = [
  ["q4", 33, 13824],
  ["q4", 7, 96],
  ["q4", 130, 704],
  ["q4", 16, 32],
  ["q8", 37, 5120],
  ["q8", 1, 96],
  ["q4", 37, 160],
] as const;

/** Every count up to a few, and more than a chunk, at one odd shape. */
const COUNTS = [...Array.from({ length: 17 }, (_, i) => i + 1), 64, 100, 512];

/** Rows of a pass: around quads, and the shipped chunk. */
const TOKENS = [1, 2, 3, 4, 5, 17, 128];

const gpu = useGpu();
const hasDot = () => missingFeatures(QUANTISE.ways[0]!.needs, gpu().features).length === 0;

describe("quantise", () => {
  it.each([
    [1, 32],
    [5, 96],
    [6, 704],
    [128, 5120],
  ])("rounds %i rows of %i columns, a group to its largest", async (tokens, columns) => {
    if (!hasDot()) return;
    const x = randomFloats(tokens * columns, 1);
    if (tokens > 1) x.fill(0, 0, 32);
    const quads = gpu().buffer("quads", quadsBytes(tokens, columns));
    const quantise = await prepare(gpu(), QUANTISE, { columns, tokens });
    const dispatch = quantise({ x: upload(gpu(), x), quads, rows: uploadRows(gpu(), rowsFrom(0, tokens)) });
    const { values, scales } = decodeQuads(await runAndRead(gpu(), [dispatch], quads), tokens, columns);
    const wrong = values.findIndex((value, i) => !(Math.abs(value - x[i]!) <= ROUNDING * scales[i >> 5]!));
    expect(wrong).toBe(-1);
    const largest = scales.map((_, i) => Math.max(...x.subarray(32 * i, 32 * i + 32).map(Math.abs)));
    expectClose(
      scales,
      largest.map((value) => value / 127),
      { relative: 1e-6 },
    );
  });

  it("keeps what is no number", async () => {
    if (!hasDot()) return;
    const x = randomFloats(3 * 64, 1);
    x[70] = Number.NaN;
    x[130] = Number.POSITIVE_INFINITY;
    const quads = gpu().buffer("quads", quadsBytes(3, 64));
    const quantise = await prepare(gpu(), QUANTISE, { columns: 64, tokens: 3 });
    const dispatch = quantise({ x: upload(gpu(), x), quads, rows: uploadRows(gpu(), rowsFrom(0, 3)) });
    const { scales } = decodeQuads(await runAndRead(gpu(), [dispatch], quads), 3, 64);
    expect([...scales].map(Number.isFinite)).toEqual([true, true, false, true, false, true]);
  });
});

describe.each(LINEAR_OF_QUADS.ways.map(({ name }) => name))("linear of quads, %s,", (way) => {
  const has = () => {
    const { needs } = LINEAR_OF_QUADS.ways.find(({ name }) => name === way)!;
    return missingFeatures(needs, gpu().features).length === 0;
  };

  it.each(CASES)("agrees with float64, stored as %s, at [%i, %i]", async (format, rows, columns) => {
    if (!has()) return;
    const counts = columns === 160 ? COUNTS : TOKENS;
    const most = counts.at(-1)!;
    const { matrix, stored } = storeMatrix(gpu(), format, randomFloats(rows * columns, 1, 0.05), columns);
    // As a wider matrix may have left it.
    const quads = upload(gpu(), new Uint32Array(quadsBytes(most, columns) / 4).fill(0xffffffff));
    const x = upload(gpu(), randomFloats(most * columns, 2));
    const before = randomFloats(most * rows, 3);
    for (const accumulate of [false, true]) {
      const multiply = await linearOfQuads(gpu(), matrix, most, quads, { accumulate, way });
      for (const tokens of accumulate ? [3] : counts) {
        const y = upload(gpu(), before);
        const dispatches = multiply({ x, y, rows: uploadRows(gpu(), rowsFrom(0, tokens)) });
        const got = await runAndReadFloats(gpu(), dispatches, y);
        const { values } = decodeQuads(await runAndRead(gpu(), [], quads), tokens, columns);
        const wanted = matmulOracle(stored, values, rows, columns);
        expectClose(
          got.subarray(0, tokens * rows),
          accumulate ? wanted.map((v, i) => v + before[i]!) : wanted,
          { relative: RELATIVE },
        );
        // Rows that are no tokens are left alone.
        expect(got.subarray(tokens * rows)).toEqual(before.subarray(tokens * rows));
      }
    }
  });

  it("does slabs one after the other", async () => {
    if (!has()) return;
    const [rows, columns, tokens] = [86, 96, 6];
    const on = Object.create(gpu(), { workgroupLimit: { value: 16 } });
    const { matrix, stored } = storeMatrix(on, "q8", randomFloats(rows * columns, 1, 0.05), columns);
    expect(matrix.slabs).toHaveLength(2);
    const quads = gpu().buffer("quads", quadsBytes(tokens, columns));
    const y = gpu().buffer("y", 4 * tokens * rows);
    const multiply = await linearOfQuads(gpu(), matrix, tokens, quads, { way });
    const x = upload(gpu(), randomFloats(tokens * columns, 2));
    const got = await runAndReadFloats(
      gpu(),
      multiply({ x, y, rows: uploadRows(gpu(), rowsFrom(0, tokens)) }),
      y,
    );
    const { values } = decodeQuads(await runAndRead(gpu(), [], quads), tokens, columns);
    expectClose(got, matmulOracle(stored, values, rows, columns), { relative: RELATIVE });
  });
});

it("linear of quads has no way for formats without scales", () => {
  const shape = { columns: 64, rows: 64, firstRow: 0, outputs: 64, tokens: 4, accumulate: false };
  expect(waysFor(gpu(), LINEAR_OF_QUADS, { ...shape, format: "f16" })).toEqual([]);
});
