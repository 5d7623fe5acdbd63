import { describe, it } from "vitest";
import { fromHalf, toHalf } from "../../src/f16.ts";
import { MATRIX_SIZES } from "../../src/gpu/features.ts";
import { ATTENTION } from "../../src/kernels/attention.ts";
import { LINEAR, linear } from "../../src/kernels/linear.ts";
import type { Way } from "../../src/kernels/way.ts";
import type { WeightFormat } from "../../src/stored.ts";
import { matmulOracle } from "../oracle/linear.ts";
import { attend, passOracle, randomPass, toleranceOf } from "../support/attention.ts";
import { expectClose } from "../support/close.ts";
import { runAndReadFloats, testDeviceOptions, upload, useGpu } from "../support/gpu.ts";
import { emulateMatrices, SPARE } from "../support/matrices.ts";
import { storeMatrix } from "../support/matrix.ts";
import { randomFloats } from "../support/random.ts";
import { onePage, rowsFrom, uploadRows } from "../support/rows.ts";

// Of all sizes of matrices but 8 x 8 x 8 there is no adapter without its hardware: here the shaders that cards are given run
// with loops in the place of a matrix.

/** As in linear.test.ts: f32 sums in another order. */
const RELATIVE = 5e-5;
/** Those that differ the most; ZIYA_TEST_MATRICES=all tries the others too, and attention takes ten seconds to compile. */
const USUAL = {
  linear: ["matrix 16x16x32", "matrix 16 wide", "matrix 16", "matrix 16x8x16", "matrix 8x16x16"],
  attention: ["matrix 16", "matrix 16x8x16"],
};
const gpu = useGpu(testDeviceOptions());
const hasHalves = () => gpu().features.has("f16") && gpu().features.has("subgroups");

/** Names and features of an operation's ways by matrices. */
function byMatrices(name: keyof typeof USUAL) {
  const ways: readonly Way<never>[] = { linear: LINEAR, attention: ATTENTION }[name].ways;
  return ways
    .filter((way) => way.name.startsWith("matrix"))
    .filter((way) => process.env.ZIYA_TEST_MATRICES === "all" || USUAL[name].includes(way.name))
    .map((way) => [way.name, way.needs.find((feature) => MATRIX_SIZES.has(feature))!] as const);
}

/** Sizes that are no multiples of a tile's, by a way that is emulated. */
async function multiplies(way: string, on: ReturnType<typeof gpu>, format: WeightFormat): Promise<void> {
  const [rows, columns, tokens] = [150, 96, 140];
  const x = randomFloats(tokens * columns, 2);
  const halves = (values: Float32Array) => values.map((value) => fromHalf(toHalf(value)));
  const { matrix, stored } = storeMatrix(on, format, randomFloats(rows * columns, 1, 0.05), columns);
  const before = randomFloats(tokens * rows, 4);
  const wanted = matmulOracle(halves(stored), halves(x), rows, columns).map((value, i) => value + before[i]!);
  const y = upload(on, new Float32Array(tokens * rows + SPARE));
  on.device.queue.writeBuffer(y, 0, before as Float32Array<ArrayBuffer>);
  const multiply = await linear(on, matrix, tokens, { way, accumulate: true });
  const buffers = { x: upload(on, x), y, rows: uploadRows(on, rowsFrom(0, tokens)) };
  const got = await runAndReadFloats(on, multiply(buffers), y);
  expectClose(got.subarray(0, wanted.length), wanted, { relative: RELATIVE });
}

describe("linear by loops in the place of a subgroup's matrices agrees with float64 as", () => {
  it.each(byMatrices("linear"))("%s", async (way, feature) => {
    if (!hasHalves()) return;
    await multiplies(way, emulateMatrices(gpu(), feature), way.includes("wide") ? "q4" : "f16");
  });

  it("matrix 16, by fewer subgroups than it has blocks", async () => {
    if (!hasHalves()) return;
    await multiplies("matrix 16", emulateMatrices(gpu(), "matrix16", 3), "q8");
  });
});

describe("attention by loops in the place of a subgroup's matrices agrees with float64 as", () => {
  it.each(byMatrices("attention"))("%s", async (way, feature) => {
    if (!hasHalves()) return;
    const shape = onePage({ heads: 2, kvHeads: 1, headDim: 96, context: 60, cache: "f16" });
    const pass = randomPass(shape, 18, 18, 25);
    const wanted = passOracle(shape, pass, way);
    const got = await attend(emulateMatrices(gpu(), feature), way, shape, pass, SPARE);
    expectClose(got.subarray(0, wanted.length), wanted, toleranceOf(way));
  });
});
