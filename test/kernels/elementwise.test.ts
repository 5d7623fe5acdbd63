import { describe, expect, it } from "vitest";
import { embed } from "../../src/kernels/embed.ts";
import { MIX } from "../../src/kernels/mix.ts";
import { PICK } from "../../src/kernels/pick.ts";
import { RMSNORM } from "../../src/kernels/rmsnorm.ts";
import { MOST_DRAWN } from "../../src/kernels/rows.ts";
import { SWIGLU } from "../../src/kernels/swiglu.ts";
import { prepare } from "../../src/kernels/way.ts";
import { storedBytes, WEIGHT_FORMATS } from "../../src/stored.ts";
import { mixOracle } from "../oracle/attention.ts";
import { rmsNormOracle, swigluOracle } from "../oracle/linear.ts";
import { expectClose } from "../support/close.ts";
import { runAndReadFloats, upload, useGpu } from "../support/gpu.ts";
import { storeMatrix } from "../support/matrix.ts";
import { randomFloats } from "../support/random.ts";
import { rowsFrom, uploadRows } from "../support/rows.ts";

/** One rounding each of the square root, the products and the sum of squares: a few units of 2⁻²⁴. */
const NORM_RELATIVE = 2e-6;
/** WGSL bounds exp to 3 + 2 |x| units in the last place; |x| reaches 40 with outliers, where silu is near x or 0. */
const SWIGLU_RELATIVE = 1e-5;
/** Sums of 32 values, an outlier twenty times the others among them. */
const MIX_RELATIVE = 1e-5;

const gpu = useGpu();

describe("rmsNorm", () => {
  it.each([
    [1, 4],
    [3, 36],
    [7, 256],
    [128, 5120],
  ])("of %i tokens agrees with float64 at width %i", async (tokens, dim) => {
    const [x, weight] = [randomFloats(tokens * dim, 1), randomFloats(dim, 2)];
    const y = upload(gpu(), new Float32Array(tokens * dim));
    const kernel = await prepare(gpu(), RMSNORM, { dim, eps: 1e-6, tokens });
    const buffers = {
      x: upload(gpu(), x),
      weight: upload(gpu(), weight),
      rows: uploadRows(gpu(), rowsFrom(0, tokens)),
    };
    const got = await runAndReadFloats(gpu(), [kernel({ ...buffers, y })], y);
    expectClose(got.subarray(0, x.length), rmsNormOracle(x, weight, 1e-6), { relative: NORM_RELATIVE });
  });

  it("adds eps to a row of tiny values", async () => {
    const [x, weight] = [randomFloats(64, 1, 1e-4), new Float32Array(64).fill(1)];
    const y = upload(gpu(), new Float32Array(64));
    const kernel = await prepare(gpu(), RMSNORM, { dim: 64, eps: 1e-6, tokens: 1 });
    const buffers = {
      x: upload(gpu(), x),
      weight: upload(gpu(), weight),
      rows: uploadRows(gpu(), rowsFrom(0, 1)),
    };
    const got = await runAndReadFloats(gpu(), [kernel({ ...buffers, y })], y);
    expectClose(got, rmsNormOracle(x, weight, 1e-6), { relative: NORM_RELATIVE });
  });
});

it("mix agrees with float64, gives back what was mixed twice, and leaves rows that are no tokens alone", async () => {
  const [recorded, tokens, width] = [5, 3, 1120]; // workgroups of eight groups, and a last one of three
  const x = randomFloats(recorded * width, 1);
  const y = upload(gpu(), x);
  const kernel = await prepare(gpu(), MIX, { width, tokens: recorded });
  const dispatch = kernel({ y, rows: uploadRows(gpu(), rowsFrom(0, tokens)) });
  const end = tokens * width;
  for (const wanted of [mixOracle(x.subarray(0, end)), x.subarray(0, end)]) {
    const got = await runAndReadFloats(gpu(), [dispatch], y);
    expectClose(got.subarray(0, end), wanted, { relative: MIX_RELATIVE });
    expect(got.subarray(end)).toEqual(x.subarray(end));
  }
});

it("pick takes the rows whose logits are asked for", async () => {
  const [tokens, dim] = [5, 68];
  const x = randomFloats(tokens * dim, 1);
  for (const drawn of [[2], [0, 3, 4]]) {
    const y = upload(gpu(), new Float32Array(MOST_DRAWN * dim));
    const kernel = await prepare(gpu(), PICK, { dim });
    const buffers = { x: upload(gpu(), x), rows: uploadRows(gpu(), rowsFrom(9, 5), drawn) };
    const got = await runAndReadFloats(gpu(), [kernel({ ...buffers, y })], y);
    const wanted = drawn.flatMap((row) => [...x.slice(row * dim, (row + 1) * dim)]);
    expect([...got.slice(0, wanted.length)]).toEqual(wanted);
    expect(got.slice(wanted.length).every((value) => value === 0)).toBe(true);
  }
});

describe.each(WEIGHT_FORMATS)("embed from a table stored as %s", (format) => {
  it("copies the rows of its tokens, across slabs", async () => {
    const [vocab, dim] = [200, 96];
    const limit = storedBytes(format, 64, dim).words;
    const small = Object.create(gpu(), { bindingLimit: { value: limit } });
    const { matrix, stored } = storeMatrix(small, format, randomFloats(vocab * dim, 1), dim);
    expect(matrix.slabs.length).toBe(4);
    const tokens = [0, 199, 63, 64, 127, 128, 5];
    const y = upload(gpu(), new Float32Array(8 * dim));
    const kernel = await embed(gpu(), matrix, 8);
    const buffers = {
      rows: uploadRows(
        gpu(),
        tokens.map((token, position) => ({ token, position })),
      ),
    };
    const got = await runAndReadFloats(gpu(), kernel({ ...buffers, y }), y);
    const wanted = new Float32Array(8 * dim);
    for (const [t, token] of tokens.entries())
      wanted.set(stored.subarray(token * dim, (token + 1) * dim), t * dim);
    // The same products in the same precision: bit for bit, and the eighth row, which is no token, stays zero.
    expect(got).toEqual(wanted);
  });
});

describe("swiglu", () => {
  it.each([
    [1, 4],
    [3, 100],
    [2, 704],
    [128, 13824],
  ])("of %i tokens agrees with float64 at width %i", async (tokens, hidden) => {
    const gateUp = randomFloats(tokens * 2 * hidden, 1, 2);
    const y = upload(gpu(), new Float32Array(tokens * hidden));
    const kernel = await prepare(gpu(), SWIGLU, { hidden, tokens });
    const buffers = { gateUp: upload(gpu(), gateUp), rows: uploadRows(gpu(), rowsFrom(0, tokens)) };
    const got = await runAndReadFloats(gpu(), [kernel({ ...buffers, y })], y);
    expectClose(got.subarray(0, tokens * hidden), swigluOracle(gateUp, hidden), {
      relative: SWIGLU_RELATIVE,
    });
  });
});
