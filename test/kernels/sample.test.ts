import { describe, expect, it } from "vitest";
import { uniform } from "../../src/generate/random.ts";
import { MOST_DRAWN, ROWS_HEADER } from "../../src/kernels/rows.ts";
import { type DrawOptions, drawIndex, drawSettings, SAMPLE, weightOf } from "../../src/kernels/sample.ts";
import { TOP_K } from "../../src/kernels/topk.ts";
import { prepare } from "../../src/kernels/way.ts";
import { rankOracle } from "../oracle/selection.ts";
import { runAndRead, upload, useGpu } from "../support/gpu.ts";
import { randomStream } from "../support/random.ts";
import { uploadRows } from "../support/rows.ts";

const gpu = useGpu();

const PLAIN: DrawOptions = { temperature: 1, top_k: 64, top_p: 1, min_p: 0, seed: 7 };
const OPTIONS: Partial<DrawOptions>[] = [
  {},
  { top_k: 50, top_p: 0.85 },
  { temperature: 0.3, seed: 2 ** 53 - 1 },
  { temperature: 100 },
  { temperature: 1e-3 },
  { temperature: 1e-300 },
  { top_k: 1 },
  { top_k: 5, min_p: 0.2 },
  { top_p: 0 },
  { top_p: 0.5, seed: 2 ** 32 },
  { min_p: 1 },
];

/** Logits of 64 candidates that are hard to tell apart, far apart, alike, tiny, and beyond what f32 subtracts. */
const next = randomStream(5);
const LOGITS: Record<string, number[]> = {
  flat: Array.from({ length: 64 }, () => next() * 1e-3),
  usual: Array.from({ length: 64 }, () => next() * 12 - 6),
  steep: Array.from({ length: 64 }, () => next() * 200),
  tied: Array.from({ length: 64 }, () => Math.round(next() * 4)),
  equal: Array.from({ length: 64 }, () => -7),
  tiny: Array.from({ length: 64 }, (_, i) => i * 1e-40),
  huge: [3e38, 3e38, 2.9e38, -3e38, 1, 0],
  few: [3, 2.5, 2],
};

/** What topk.wgsl leaves of logits. */
function bestOf(logits: readonly number[]): { ids: number[]; words: Uint32Array; sorted: Float32Array } {
  const stored = Float32Array.from(logits);
  const ids = rankOracle(stored, stored.length, TOP_K);
  const sorted = Float32Array.from({ length: TOP_K }, (_, i) =>
    i < ids.length ? stored[ids[i]!]! : -Infinity,
  );
  const words = new Uint32Array(2 * TOP_K).fill(0xffffffff);
  words.set(ids);
  words.set(new Uint32Array(sorted.buffer), TOP_K);
  return { ids, words, sorted };
}

/** Two sequences of four pages of 512 positions, the second's the other way round. */
const SHAPE = { context: 2048, page: 512 };
const PAGES = [3, 1, 0, 2, 2, 0, 1, 3];
const POSITION = 1000;

/** Runs the kernel on a row each of candidates, of the two sequences in turn: what is left for the host of each, an id and a logit. */
async function sampled(best: readonly Uint32Array[], settings: readonly Uint32Array[]) {
  const kernel = await prepare(gpu(), SAMPLE, { ...SHAPE, drawn: MOST_DRAWN });
  const join = (lines: readonly Uint32Array[]) =>
    upload(gpu(), Uint32Array.from(lines.flatMap((line) => [...line])));
  const rows = best.map((_, d) => ({ token: 7, position: POSITION, sequence: d % 2, place: 1 }));
  const buffers = {
    best: join(best),
    settings: join(settings),
    chosen: upload(gpu(), new Uint32Array(2 * MOST_DRAWN)),
    pages: upload(gpu(), Uint32Array.from(PAGES)),
    rows: uploadRows(gpu(), rows, [...rows.keys()]),
  };
  const next = await runAndRead(gpu(), [kernel(buffers)], buffers.rows);
  const chosen = await runAndRead(gpu(), [], buffers.chosen);
  const left = best.map((_, d) => [chosen[2 * d]!, new Float32Array(chosen.buffer)[2 * d + 1]!]);
  expect([...next.subarray(ROWS_HEADER)]).toEqual(
    left.flatMap(([id], d) => {
      const place = 512 * PAGES[4 * (d % 2) + 1]! + POSITION + 1 - 512;
      return [id, POSITION + 1, d % 2, place];
    }),
  );
  expect([...chosen.subarray(2 * best.length)].every((word) => word === 0)).toBe(true);
  return left;
}

async function draw(logits: readonly number[], options: DrawOptions, counters: readonly number[]) {
  const { ids, words, sorted } = bestOf(logits);
  const kept = Uint32Array.from({ length: Math.min(options.top_k, ids.length) }, (_, i) => i);
  const settings = counters.map((counter) => drawSettings(options, POSITION - counter));
  const wanted = counters.map((counter, d) => {
    const number = Math.floor(uniform(options.seed, counter) * 2 ** 32);
    const index = drawIndex(sorted, kept, settings[d]!, number);
    return [ids[index]!, sorted[index]!];
  });
  const best = counters.map(() => words);
  const drawn: number[][] = [];
  for (let d = 0; d < counters.length; d += MOST_DRAWN) {
    drawn.push(...(await sampled(best.slice(d, d + MOST_DRAWN), settings.slice(d, d + MOST_DRAWN))));
  }
  return { drawn, wanted };
}

describe.each(Object.entries(LOGITS))("of %s logits", (_, logits) => {
  it("sample draws, to the token, what the host draws", async () => {
    const distinct = new Set<number>();
    for (const options of OPTIONS) {
      // The last is of a sequence whose seed was drawn from before it began.
      const { drawn, wanted } = await draw(logits, { ...PLAIN, ...options }, [
        0,
        1,
        2,
        3,
        500,
        2000,
        2 ** 31,
      ]);
      expect(drawn, JSON.stringify(options)).toEqual(wanted);
      for (const [id] of drawn) distinct.add(id!);
    }
    expect(distinct.size).toBeGreaterThan(1);
  });
});

/** Of 2^32: how near to the edge between two candidates a draw is, which a wrong bit in the weights takes across. */
const NEAR = 2 ** 13;

it("sample draws what the host draws at the edge between two candidates", async () => {
  const options = { ...PLAIN, temperature: 30 };
  const { sorted } = bestOf(LOGITS.usual!);
  const kept = Uint32Array.from(sorted, (_, i) => i);
  const settings = drawSettings(options);
  const near = Array.from({ length: 30_000 }, (_, counter) => counter).filter((counter) => {
    const position = Math.min(Math.max(Math.floor(uniform(7, counter) * 2 ** 32), NEAR), 2 ** 32 - NEAR - 1);
    const at = (shift: number) => drawIndex(sorted, kept, settings, position + shift);
    return at(-NEAR) !== at(NEAR);
  });
  expect(near.length).toBeGreaterThan(3);
  const { drawn, wanted } = await draw(LOGITS.usual!, options, near);
  expect(drawn).toEqual(wanted);
});

it.each([
  [Number.NaN, 1, 2],
  [Infinity, 1, 2],
  [-Infinity, -Infinity],
])("sample leaves a largest logit that is %d to the host, with its id", async (...logits) => {
  const { words } = bestOf(logits);
  const [[id, logit]] = (await sampled([words], [drawSettings(PLAIN, 0)])) as [[number, number]];
  expect(id).toBe(0);
  expect(logit).toBe(logits[0]);
});

it("a weight is exp to 2^-24, and falls with the distance", () => {
  const bitsOf = (value: number) => new Uint32Array(Float32Array.of(value).buffer)[0]!;
  for (const temperature of [0.01, 0.7, 1, 100]) {
    const [inverse] = drawSettings({ ...PLAIN, temperature });
    let last = Infinity;
    for (let i = 0; i <= 4000; i++) {
      const distance = Math.fround((i / 200) * temperature);
      const weight = weightOf(bitsOf(distance), inverse!);
      expect(Math.abs(weight / 2 ** 25 - Math.exp(-distance / temperature))).toBeLessThan(2 ** -24);
      expect(weight).toBeLessThanOrEqual(last);
      last = weight;
    }
    expect(last).toBe(0);
  }
});
