import { describe, expect, it } from "vitest";
import { DAWN_SUBGROUP_MATRIX } from "../../node/host.ts";
import { allows, attend, passOracle, randomPass, toleranceOf } from "../support/attention.ts";
import { expectClose } from "../support/close.ts";
import { testDeviceOptions, useGpu } from "../support/gpu.ts";
import { onePage } from "../support/rows.ts";

const gpu = useGpu(testDeviceOptions(), [DAWN_SUBGROUP_MATRIX]);

/** A way that has to be there: whoever runs the tests for its sake is not to be told that all is well without it. */
const { ZIYA_TEST_WAY: asked } = process.env;
it.runIf(asked)(`attention has the way ${asked}`, () => {
  const shape = onePage({ heads: 1, kvHeads: 1, headDim: 32, context: 32, cache: "f16" });
  expect(allows(gpu(), shape, 33, asked!)).toBe(true);
});

describe.each(["matrix 8", "matrix 16"])("attention, %s,", (way) => {
  // Three in place of those that the adapter has, for four blocks.
  it("by fewer subgroups than are wanted at once agrees with float64", async () => {
    const shape = onePage({ heads: 2, kvHeads: 1, headDim: 64, context: 100, cache: "f16" });
    if (!allows(gpu(), shape, 35, way)) return;
    const readShader = async (name: string) => {
      const text = await gpu().readShader(name);
      if (name !== "attention_matrix") return text;
      const given = "num_subgroups) subgroups: u32,\n) {";
      expect(text).toContain(given);
      return text.replace(given, "num_subgroups) all: u32,\n) {\n  let subgroups = min(all, 3u);");
    };
    const on = Object.create(gpu(), { readShader: { value: readShader }, made: { value: new Map() } });
    const pass = randomPass(shape, 35, 35, 60);
    const wanted = passOracle(shape, pass, way);
    const got = await attend(on, way, shape, pass);
    expectClose(got.subarray(0, wanted.length), wanted, toleranceOf(way));
  });

  it("gives NaN where a query is no number, or none that a half holds", async () => {
    const shape = onePage({ heads: 1, kvHeads: 1, headDim: 64, context: 40, cache: "f16" });
    if (!allows(gpu(), shape, 3, way)) return;
    const pass = randomPass(shape, 3, 3, 20);
    pass.qkv[192 + 7] = 1e6; // times log2(e) / 8
    pass.qkv[384 + 7] = Number.NaN;
    const got = await attend(gpu(), way, shape, pass);
    const isNan = (row: number) => got.subarray(row * 64, (row + 1) * 64).every(Number.isNaN);
    expect([0, 1, 2].map(isNan)).toEqual([false, true, true]);
  });
});
