import { describe, expect, it } from "vitest";
import { uniform } from "../../src/generate/random.ts";
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

async function draw(logits: readonly number[], options: DrawOptions, counters: readonly number[]) {
  const kernel = await prepare(gpu(), SAMPLE, { drawn: 1 });
  const { ids, words, sorted } = bestOf(logits);
  const drawn: [id: number, logit: number][] = [];
  const wanted: [id: number, logit: number][] = [];
  for (const counter of counters) {
    const settings = drawSettings(options, 1000 - counter);
    const best = upload(gpu(), words);
    const rows = uploadRows(gpu(), [{ position: 1000 }]);
    const got = await runAndRead(gpu(), [kernel({ best, settings: upload(gpu(), settings), rows })], best);
    drawn.push([got[0]!, new Float32Array(got.buffer)[1]!]);
    const kept = Uint32Array.from({ length: Math.min(options.top_k, ids.length) }, (_, i) => i);
    const index = drawIndex(sorted, kept, settings, Math.floor(uniform(options.seed, counter) * 2 ** 32));
    wanted.push([ids[index]!, sorted[index]!]);
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
      for (const [id] of drawn) distinct.add(id);
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
  const kernel = await prepare(gpu(), SAMPLE, { drawn: 1 });
  const { words } = bestOf(logits);
  const best = upload(gpu(), words);
  const settings = upload(gpu(), drawSettings(PLAIN, 0));
  const got = await runAndRead(
    gpu(),
    [kernel({ best, settings, rows: uploadRows(gpu(), [{ position: 3 }]) })],
    best,
  );
  expect(got[0]).toBe(0);
  expect(new Float32Array(got.buffer)[1]).toBe(logits[0]);
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
