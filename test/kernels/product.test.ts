import { describe, expect, it } from "vitest";
import type { Gpu } from "../../src/gpu/device.ts";
import { product, productWays } from "../../src/kernels/product.ts";
import { quadsBytes } from "../../src/kernels/quads.ts";
import { wayLabel } from "../../src/kernels/way.ts";
import { matmulOracle } from "../oracle/linear.ts";
import { expectClose } from "../support/close.ts";
import { runAndReadFloats, upload, useGpu } from "../support/gpu.ts";
import { storeMatrix } from "../support/matrix.ts";
import { randomFloats } from "../support/random.ts";
import { rowsFrom, uploadRows } from "../support/rows.ts";

/** f32 sums of 96 products in another order than the oracle's. */
const RELATIVE = 1e-5;

const gpu = useGpu();

const withFeatures = (...features: string[]): Gpu =>
  Object.create(gpu(), { features: { value: new Set(features) }, wrong: { value: new Map() } });

describe("the ways of several rows", () => {
  const CARD = ["subgroups", "dot", "f16"];
  it.each([
    ["q4", true, [...CARD, "matrix16"], ["f16 matrix 16", "i8 tiles", "f32 matmul"]],
    ["q4", false, [...CARD, "matrix16"], ["f16 matrix 16", "f32 matmul"]],
    ["f16", true, [...CARD, "matrix8"], ["f16 matrix 8", "f32 matmul"]],
    ["f32", true, [...CARD, "matrix16"], ["f32 matmul"]],
    ["q8", true, CARD, ["i8 tiles", "f32 matmul"]],
    ["q4", false, ["subgroups", "matrix16"], ["f32 matmul"]],
    [
      "q4",
      true,
      [...CARD, "narrow", "matrix8"],
      ["i8 narrow", "f32 narrow", "f16 matrix 8", "i8 tiles", "f32 matmul"],
    ],
    ["f16", true, ["subgroups", "narrow"], ["f32 narrow", "f32 matmul"]],
  ] as const)("of %s, rounded %s, with %j are %j", (format, rounded, features, wanted) => {
    const { matrix } = storeMatrix(gpu(), format, randomFloats(32, 1), 32);
    expect(productWays(withFeatures(...features), matrix, rounded).map(({ name }) => name)).toEqual(wanted);
  });

  it("are without those that were found wrong, and without 8 bits where rounding was", () => {
    const { matrix } = storeMatrix(gpu(), "q4", randomFloats(32, 1), 32);
    const on = withFeatures(...CARD);
    on.wrong.set(wayLabel("linear", "matmul"), "off");
    expect(productWays(on, matrix, true).map(({ name }) => name)).toEqual(["i8 tiles"]);
    on.wrong.set(wayLabel("quantise", "groups"), "off");
    expect(productWays(on, matrix, true)).toEqual([]);
  });
});

it("a pass of one row goes by the kernel of one row, whatever several would", async () => {
  const [tokens, rows, columns] = [1, 34, 96];
  const { matrix, stored } = storeMatrix(gpu(), "f16", randomFloats(rows * columns, 1), columns);
  const x = randomFloats(tokens * columns, 2);
  const y = upload(gpu(), new Float32Array(tokens * rows));
  const quads = gpu().buffer("quads", quadsBytes(tokens, columns));
  const multiply = await product(gpu(), matrix, tokens, "f32 matmul", quads);
  const pass = multiply({ x: upload(gpu(), x), y, rows: uploadRows(gpu(), rowsFrom(0, tokens)) });
  const got = (await runAndReadFloats(gpu(), pass, y)).subarray(0, tokens * rows);
  expectClose(got, matmulOracle(stored, x, rows, columns), { relative: RELATIVE });
});
