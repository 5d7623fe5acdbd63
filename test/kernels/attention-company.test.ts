import { describe, expect, it } from "vitest";
import { DAWN_SUBGROUP_MATRIX } from "../../node/host.ts";
import type { Gpu } from "../../src/gpu/device.ts";
import { ATTENTION } from "../../src/kernels/attention.ts";
import { type AttentionShape, CACHE_FORMATS } from "../../src/kernels/cache.ts";
import { prepare, waysFor } from "../../src/kernels/way.ts";
import { cacheWords } from "../support/cache.ts";
import { runAndRead, testDeviceOptions, upload, useGpu } from "../support/gpu.ts";
import { randomFloats } from "../support/random.ts";
import { type Row, uploadRows } from "../support/rows.ts";

const gpu = useGpu(testDeviceOptions(), [DAWN_SUBGROUP_MATRIX]);

const CONTEXT = 160;
const PAGE = 16;
/** Lines of the page table: 0 has no number among its values, and 1 has none past what is asked of it. */
const SEQUENCES = 3;
const LINE = CONTEXT / PAGE;
const SIZES = { heads: 6, kvHeads: 2, headDim: 64, context: CONTEXT, page: PAGE, pages: SEQUENCES * LINE };
const WIDTH = (SIZES.heads + 2 * SIZES.kvHeads) * SIZES.headDim;
const Y_WIDTH = SIZES.heads * SIZES.headDim;

/** Pages stand anywhere: 7 and their number have no common divisor. */
const TABLE = Uint32Array.from({ length: SIZES.pages }, (_, i) => (7 * i + 3) % SIZES.pages);

function span(sequence: number, first: number, count: number): Row[] {
  return Array.from({ length: count }, (_, i) => ({ sequence, position: first + i }));
}

/** [first position asked for, how many, rows of sequence 0 before them, and of sequence 2 after them] */
const CASES = [
  [20, 3, 2, 3],
  [61, 75, 29, 21],
] as const;

describe.each(CASES)("of the rows from position %i on, %i of them,", (first, count, before, after) => {
  it.each(CACHE_FORMATS)(
    "each is the same to the bit alone, cut into other chunks and among other sequences, cached as %s",
    async (cache) => {
      const shape = { ...SIZES, cache };
      const most = before + count + after;
      for (const { name } of waysFor(gpu(), ATTENTION, { ...shape, tokens: most })) {
        const attend = await attention(gpu(), { ...shape, tokens: most }, name, first + count);
        const asked = span(1, first, count);
        const whole = await attend(asked);
        expect(new Float32Array(whole.slice().buffer).every(Number.isFinite)).toBe(true);
        for (const cut of [1, Math.floor(count / 2), count - 1]) {
          const parts = [...(await attend(asked.slice(0, cut))), ...(await attend(asked.slice(cut)))];
          expect(differing(whole, parts), `${name}, cut at ${cut}`).toBe(0);
        }
        const company = [...span(0, 40, before), ...asked, ...span(2, 3, after)];
        const among = (await attend(company)).subarray(before * Y_WIDTH, (before + count) * Y_WIDTH);
        expect(differing(whole, among), `${name}, among others`).toBe(0);
      }
    },
  );
});

/** Runs passes of a way over one cache, with queries that depend on sequence and position alone. Gives the rows' words of y. */
async function attention(gpu: Gpu, shape: AttentionShape & { tokens: number }, way: string, end: number) {
  const kernel = await prepare(gpu, ATTENTION, shape, way);
  const cached = SIZES.kvHeads * PAGE * SIZES.pages * SIZES.headDim;
  const keys = randomFloats(cached, 1);
  const values = randomFloats(cached, 2);
  const spoil = (sequence: number, from: number) => {
    for (let p = from; p < CONTEXT; p++) {
      const place = TABLE[sequence * LINE + Math.floor(p / PAGE)]! * PAGE + (p % PAGE);
      for (let head = 0; head < SIZES.kvHeads; head++) {
        const at = (head * PAGE * SIZES.pages + place) * SIZES.headDim;
        values.fill(Number.NaN, at, at + SIZES.headDim);
      }
    }
  };
  spoil(0, 0);
  spoil(1, end);
  const buffers = {
    keys: upload(gpu, cacheWords(keys, shape.cache)),
    values: upload(gpu, cacheWords(values, shape.cache)),
    pages: upload(gpu, TABLE),
  };
  return async (rows: readonly Row[]) => {
    const queries = rows.map(({ sequence = 0, position }) =>
      randomFloats(WIDTH, 1000 * sequence + position + 10),
    );
    const qkv = new Float32Array(shape.tokens * WIDTH);
    for (const [i, row] of queries.entries()) qkv.set(row, i * WIDTH);
    const y = upload(gpu, new Float32Array(shape.tokens * Y_WIDTH));
    const dispatch = kernel({ ...buffers, qkv: upload(gpu, qkv), rows: uploadRows(gpu, rows), y });
    return (await runAndRead(gpu, [dispatch], y)).subarray(0, rows.length * Y_WIDTH);
  };
}

function differing(a: Uint32Array, b: ArrayLike<number>): number {
  return a.reduce((sum, word, i) => sum + (word === b[i] ? 0 : 1), 0);
}
