import { describe, expect, it } from "vitest";
import { DAWN_SUBGROUP_MATRIX } from "../../node/host.ts";
import { ATTENTION } from "../../src/kernels/attention.ts";
import type { AttentionShape } from "../../src/kernels/cache.ts";
import { prepare, waysFor } from "../../src/kernels/way.ts";
import {
  allows,
  attend,
  type Pass,
  passOracle,
  randomPass,
  toleranceOf,
  UNTOUCHED,
} from "../support/attention.ts";
import { cacheValues, cacheWords } from "../support/cache.ts";
import { expectClose } from "../support/close.ts";
import { runAndReadFloats, testDeviceOptions, upload, useGpu } from "../support/gpu.ts";
import { onePage, type Row, rowsFrom, uploadRows } from "../support/rows.ts";

/** [rows recorded, rows that are tokens, position] */
const FEW_ROWS = [
  [1, 1, 0],
  [2, 2, 1],
  [7, 5, 0],
  [3, 2, 63],
  [2, 2, 64],
  [1, 1, 200],
  [4, 4, 560],
] as const;
const MANY_ROWS = [
  [2, 1, 0],
  [2, 2, 1],
  [7, 5, 0],
  [16, 16, 63],
  [17, 17, 64],
  [33, 33, 65],
  [70, 65, 0],
  [3, 2, 200],
] as const;

/** As shipped: 128 rows of a pass, a context of 2,048 that is full at last. */
const LONG_CONTEXT = 2048;
const LONG = {
  few: [
    [1, 1, 2047],
    [3, 2, 1300],
  ],
  many: [
    [128, 128, 1920],
    [128, 77, 1030],
  ],
} as const;

/** [heads, kvHeads, headDim, cache]; heads of 128 with an f16 cache have a test of their own. */
const HEADS = [
  [1, 1, 16, "f16"],
  [1, 1, 32, "f32"],
  [4, 1, 64, "f16"],
  [3, 3, 80, "f16"],
  [2, 1, 96, "f16"],
  [8, 2, 128, "f32"],
  [1, 1, 32, "q4"],
  [4, 2, 64, "q8"],
  [3, 3, 96, "q4"],
  [2, 1, 128, "q8"],
] as const;

/** The passes that a way is held to: few rows where it takes no more. */
const passesOf = (way: string) => (way.startsWith("rows") ? FEW_ROWS : MANY_ROWS);

// Where the adapter multiplies matrices, those ways are held to the oracle too.
const gpu = useGpu(testDeviceOptions(), [DAWN_SUBGROUP_MATRIX]);

describe.each(ATTENTION.ways.map(({ name }) => name))("attention, %s,", (way) => {
  it.each(HEADS)(
    "of %i query and %i key heads of %i with a cache stored as %s agrees with float64",
    async (heads, kvHeads, headDim, cache) => {
      const shape = onePage({ heads, kvHeads, headDim, context: 570, cache });
      for (const [rows, tokens, position] of passesOf(way)) {
        if (!allows(gpu(), shape, rows, way)) continue;
        const pass = randomPass(shape, rows, tokens, position);
        const got = await attend(gpu(), way, shape, pass);
        const wanted = passOracle(shape, pass, way);
        expectClose(got.subarray(0, wanted.length), wanted, toleranceOf(way));
        const rest = got.subarray(wanted.length, rows * heads * headDim);
        expect(rest.every((value) => value === UNTOUCHED)).toBe(true);
      }
    },
  );

  it("agrees with float64 at the shipped scale", async () => {
    const shape = onePage({ heads: 2, kvHeads: 1, headDim: 128, context: LONG_CONTEXT, cache: "f16" });
    for (const [rows, tokens, position] of way.startsWith("rows") ? LONG.few : LONG.many) {
      if (!allows(gpu(), shape, rows, way)) continue;
      const pass = randomPass(shape, rows, tokens, position);
      const got = await attend(gpu(), way, shape, pass);
      const wanted = passOracle(shape, pass, way);
      expectClose(got.subarray(0, wanted.length), wanted, toleranceOf(way));
    }
  });
});

describe("attention", () => {
  it.each([
    [1, 150],
    [40, 100],
  ])("of %i rows at position %i agrees with float64 at the widths of 13B", async (tokens, position) => {
    const shape = onePage({ heads: 40, kvHeads: 40, headDim: 128, context: 160, cache: "f16" });
    const pass = randomPass(shape, tokens, tokens, position);
    const { name } = waysFor(gpu(), ATTENTION, { ...shape, tokens })[0]!;
    const got = await attend(gpu(), name, shape, pass);
    const wanted = passOracle(shape, pass, name);
    expectClose(got.subarray(0, wanted.length), wanted, toleranceOf(name));
  });

  it.each(["f32", "q8", "q4"] as const)(
    "gives NaN, and no number, where a key or a value of a cache in %s that a row sees is NaN",
    async (cache) => {
      const shape = onePage({ heads: 1, kvHeads: 1, headDim: 32, context: 40, cache });
      for (const { name } of waysFor(gpu(), ATTENTION, { ...shape, tokens: 3 })) {
        for (const spoilt of ["keys", "values"] as const) {
          const pass = randomPass(shape, 3, 3, 20);
          const cached = cacheValues(pass[spoilt], cache);
          cached[21 * 32 + 5] = Number.NaN;
          pass[spoilt].set(cacheWords(cached, cache));
          const got = await attend(gpu(), name, shape, pass);
          const numbers = [0, 1, 2].map((row) =>
            got.subarray(row * 32, (row + 1) * 32).filter(Number.isFinite),
          );
          // Of a value in f32 it may be one column alone.
          const most = spoilt === "values" && cache === "f32" ? 31 : 0;
          expect(numbers[0], name).toHaveLength(32);
          for (const { length } of numbers.slice(1))
            expect(length, `${name}, ${spoilt}`).toBeLessThanOrEqual(most);
        }
      }
    },
  );

  it.each(["f32", "q8", "q4"] as const)(
    "takes rows of several sequences, whose pages stand anywhere, each as if it were alone, from a cache in %s",
    async (cache) => {
      const [page, count] = [16, 23];
      const sizes = { heads: 4, kvHeads: 2, headDim: 64, context: 100, cache };
      const shape: AttentionShape = { ...sizes, page, pages: count };
      const alone = onePage(sizes);
      // [position of the first row, rows] of each sequence; the first row of the second is in a later tile of rows.
      for (const parts of [
        [
          [0, 3],
          [17, 2],
          [95, 2],
        ],
        [
          [40, 30],
          [3, 9],
          [64, 20],
          [0, 7],
        ],
      ] as const) {
        const table = new Uint32Array(parts.length * 7);
        const free = Array.from({ length: count }, (_, i) => (i * 7 + 3) % count);
        const size = 2 * page * count * 64;
        const [keys, values] = [
          new Float32Array(size).fill(Number.NaN),
          new Float32Array(size).fill(Number.NaN),
        ];
        const rows: Row[] = [];
        const queries: number[] = [];
        const passes: Pass[] = [];
        for (const [sequence, [position, tokens]] of parts.entries()) {
          const pass = randomPass(alone, tokens, tokens, position, sequence);
          queries.push(...pass.qkv);
          rows.push(...rowsFrom(position, tokens).map((row) => ({ ...row, sequence })));
          passes.push(pass);
          for (let p = 0; p < position + tokens; p++) {
            const line = sequence * 7 + Math.floor(p / page);
            if (p % page === 0) table[line] = free.pop()!;
            for (let head = 0; head < 2; head++) {
              const into = (head * page * count + table[line]! * page + (p % page)) * 64;
              const from = (head * 100 + p) * 64;
              keys.set(cacheValues(pass.keys, cache).subarray(from, from + 64), into);
              values.set(cacheValues(pass.values, cache).subarray(from, from + 64), into);
            }
          }
        }
        for (const { name } of waysFor(gpu(), ATTENTION, { ...shape, tokens: rows.length })) {
          const wanted = passes.flatMap((pass) => [...passOracle(alone, pass, name)]);
          const y = upload(gpu(), new Float32Array(wanted.length));
          const kernel = await prepare(gpu(), ATTENTION, { ...shape, tokens: rows.length }, name);
          const buffers = {
            qkv: upload(gpu(), new Float32Array(queries)),
            keys: upload(gpu(), cacheWords(keys, cache)),
            values: upload(gpu(), cacheWords(values, cache)),
            pages: upload(gpu(), table),
            rows: uploadRows(gpu(), rows),
          };
          const got = await runAndReadFloats(gpu(), [kernel({ ...buffers, y })], y);
          expectClose(got, wanted, toleranceOf(name));
        }
      }
    },
  );

  it("refuses the shapes that the kernels do not take, by number", async () => {
    const shape = { ...onePage({ heads: 4, kvHeads: 2, headDim: 64, context: 8, cache: "f16" }), tokens: 2 };
    const preparing = (changes: Partial<AttentionShape>) =>
      prepare(gpu(), ATTENTION, { ...shape, ...changes });
    await expect(preparing({ headDim: 144 })).rejects.toThrow("144");
    await expect(preparing({ headDim: 40 })).rejects.toThrow("40");
    await expect(preparing({ headDim: 48, cache: "q4" })).rejects.toThrow(
      "groups of 32 values; these have 48",
    );
    await expect(preparing({ kvHeads: 3 })).rejects.toThrow("found 4 and 3");
    await expect(preparing({ context: 0 })).rejects.toThrow("asked for 0");
    await expect(preparing({ page: 24, pages: 2 })).rejects.toThrow("asked for 24");
  });
});
