import { describe, expect, test } from "vitest";
import { LogitsError } from "../../src/errors.ts";
import type { Sampling } from "../../src/generate/options.ts";
import { uniform } from "../../src/generate/random.ts";
import { makeSampler } from "../../src/generate/sampler.ts";
import { type Candidates, MAX_CANDIDATES } from "../../src/model/language-model.ts";
import { randomStream } from "../support/random.ts";

const PLAIN: Sampling = { temperature: 1, top_k: 0, top_p: 1, min_p: 0, repetition_penalty: 1, seed: 7 };
const NOTHING_SEEN: ReadonlySet<number> = new Set();

/** All ids in order, as for "logits". */
function all(logits: readonly number[]): Candidates {
  return { ids: Uint32Array.from(logits, (_, id) => id), logits: Float32Array.from(logits) };
}

/** The best ones, as the top-k kernel returns them for "candidates". */
function best(logits: readonly number[]): Candidates {
  const { ids, logits: values } = all(logits);
  const order = ids.toSorted((a, b) => values[b]! - values[a]! || a - b).slice(0, MAX_CANDIDATES);
  return { ids: order, logits: Float32Array.from(order, (id) => values[id]!) };
}

/**
 * The tokens that may come and their probabilities, in float64, as transformers' processors have them one after the
 * other; but of equal logits at the edge of top_k only the lowest ids stay.
 */
function reference(
  logits: readonly number[],
  sampling: Sampling,
  seen: ReadonlySet<number>,
): [number, number][] {
  const softmax = (scores: number[]) => {
    const highest = Math.max(...scores);
    const weights = scores.map((score) => Math.exp(score - highest));
    const sum = weights.reduce((a, b) => a + b, 0);
    return weights.map((weight) => weight / sum);
  };
  const { temperature, top_k, top_p, min_p, repetition_penalty: penalty } = sampling;
  let scores = [...Float32Array.from(logits)];
  scores = scores.map((s, id) => (seen.has(id) ? Math.fround(s < 0 ? s * penalty : s / penalty) : s));
  scores = scores.map((s, id) => (sampling.suppress_tokens?.has(id) ? -Infinity : s));
  scores = scores.map((s) => s / temperature);
  if (top_k > 0) {
    const kept = new Set(
      scores
        .map((_, id) => id)
        .sort((a, b) => scores[b]! - scores[a]! || a - b)
        .slice(0, top_k),
    );
    scores = scores.map((s, id) => (kept.has(id) ? s : -Infinity));
  }
  if (top_p < 1) {
    const probabilities = softmax(scores);
    const ascending = scores.map((_, id) => id).sort((a, b) => scores[a]! - scores[b]! || b - a);
    let cumulative = 0;
    ascending.forEach((id, i) => {
      cumulative += probabilities[id]!;
      if (cumulative <= 1 - top_p && i < ascending.length - 1) scores[id] = -Infinity;
    });
  }
  if (min_p > 0) {
    const probabilities = softmax(scores);
    const threshold = min_p * Math.max(...probabilities);
    scores = scores.map((s, id) => (probabilities[id]! < threshold ? -Infinity : s));
  }
  return softmax(scores)
    .map((probability, id): [number, number] => [id, probability])
    .filter(([, probability]) => probability > 0);
}

/** The probability the sampler gives each token, found by drawing `draws` times. */
function frequencies(
  logits: readonly number[],
  sampling: Sampling,
  seen: ReadonlySet<number>,
  draws: number,
) {
  const sampler = makeSampler(sampling);
  const counts = new Map<number, number>();
  for (let i = 0; i < draws; i++) {
    const id = sampler.sample(sampler.want === "candidates" ? best(logits) : all(logits), seen);
    counts.set(id, (counts.get(id) ?? 0) + 1 / draws);
  }
  return counts;
}

/** Which id a draw at `position` takes when tokens are ranked best first, ties by rising id. */
function referenceDraw(table: [number, number][], logits: readonly number[], position: number): number {
  const ranked = table.toSorted(([a], [b]) => Math.fround(logits[b]!) - Math.fround(logits[a]!) || a - b);
  let sum = 0;
  for (const [id, probability] of ranked) {
    sum += probability;
    if (sum > position) return id;
  }
  return ranked.at(-1)![0];
}

describe("makeSampler", () => {
  const CASES: Partial<Sampling>[] = [
    {},
    { temperature: 0.3 },
    { temperature: 3 },
    { top_k: 1 },
    { top_k: 5 },
    { top_k: 64 },
    { top_k: 65 },
    { top_k: 1000 },
    { top_p: 0 },
    { top_p: 0.5 },
    { top_p: 0.85 },
    { top_p: 0.999999 },
    { min_p: 0.2 },
    { min_p: 1 },
    { top_k: 50, top_p: 0.85 },
    { temperature: 0.7, top_k: 20, top_p: 0.9, min_p: 0.05 },
    { suppress_tokens: new Set([0, 7, 40, 89, 1000]) },
    { top_k: 50, top_p: 0.85, suppress_tokens: new Set(Array.from({ length: 45 }, (_, i) => 2 * i)) },
  ];

  test.each(CASES)("draws what transformers' order of steps allows: %j", (settings) => {
    const next = randomStream(11);
    for (let round = 0; round < 40; round++) {
      // Coarse values make many ties.
      const step = round % 2 === 0 ? 1e-6 : 1;
      const logits = Array.from({ length: 90 }, () => Math.round((next() * 12 - 6) / step) * step);
      const sampling = { ...PLAIN, ...settings, seed: round };
      const sampler = makeSampler(sampling);
      const table = reference(logits, sampling, NOTHING_SEEN);
      for (let i = 0; i < 20; i++) {
        const wanted = referenceDraw(table, logits, uniform(round, i));
        expect(sampler.sample(all(logits), NOTHING_SEEN)).toBe(wanted);
      }
    }
  });

  test("never chooses a suppressed token, whatever else is asked", () => {
    const logits = [5, 3, 4];
    for (const settings of [{}, { top_k: 1 }, { repetition_penalty: 2 }, { temperature: 0 }]) {
      const sampler = makeSampler({ ...PLAIN, ...settings, suppress_tokens: new Set([0, 1]) });
      expect(sampler.want).toBe("logits");
      for (let i = 0; i < 10; i++) expect(sampler.sample(all(logits), NOTHING_SEEN)).toBe(2);
    }
    const none = makeSampler({ ...PLAIN, suppress_tokens: new Set([0, 1, 2]) });
    expect(() => none.sample(all(logits), NOTHING_SEEN)).toThrow(LogitsError);
  });

  test("penalises seen tokens before everything else", () => {
    const next = randomStream(5);
    for (let round = 0; round < 40; round++) {
      const logits = Array.from({ length: 30 }, () => next() * 12 - 6);
      const seen = new Set(Array.from({ length: 12 }, () => Math.floor(next() * 30)));
      const sampling = { ...PLAIN, repetition_penalty: 1.7, top_k: 8, top_p: 0.9, seed: round };
      const penalised = logits.map((s, id) => (seen.has(id) ? (s < 0 ? s * 1.7 : s / 1.7) : s));
      const sampler = makeSampler(sampling);
      expect(sampler).toMatchObject({ want: "logits", usesSeen: true });
      const table = reference(logits, sampling, seen);
      for (let i = 0; i < 20; i++) {
        expect(sampler.sample(all(logits), seen)).toBe(referenceDraw(table, penalised, uniform(round, i)));
      }
      const greedy = makeSampler({ ...PLAIN, temperature: 0, repetition_penalty: 1.7 });
      const highest = penalised.indexOf(Math.max(...penalised));
      expect(greedy.sample(all(logits), seen)).toBe(highest);
    }
    // Below zero a logit is multiplied: divided, it would rise.
    const twice = makeSampler({ ...PLAIN, temperature: 0, repetition_penalty: 2 });
    expect(twice.sample(all([-1, -1.5]), new Set([0]))).toBe(1);
  });

  test("draws as often as the probabilities say", () => {
    const logits = [2, 1, 0, -1, 1];
    const sampling = { ...PLAIN, temperature: 0.8, top_p: 0.9 };
    const table = reference(logits, sampling, NOTHING_SEEN);
    const found = frequencies(logits, sampling, NOTHING_SEEN, 20000);
    expect([...found.keys()].sort()).toEqual(table.map(([id]) => id).sort());
    // Five standard deviations of a frequency over 20,000 draws.
    for (const [id, probability] of table) expect(Math.abs(found.get(id)! - probability)).toBeLessThan(0.018);
  });

  test("gives the same tokens from the candidates as from all logits", () => {
    const next = randomStream(3);
    for (const settings of [{ top_k: 50, top_p: 0.85 }, { top_k: 64 }, { top_k: 3, min_p: 0.1 }]) {
      const sampling = { ...PLAIN, ...settings, seed: 99 };
      const [fromAll, fromBest] = [makeSampler(sampling), makeSampler(sampling)];
      expect(fromBest.want).toBe("candidates");
      for (let round = 0; round < 200; round++) {
        const logits = Array.from({ length: 500 }, () => Math.round(next() * 40) / 4);
        expect(fromBest.sample(best(logits), NOTHING_SEEN)).toBe(fromAll.sample(all(logits), NOTHING_SEEN));
      }
    }
  });

  test("ranks ties by rising id, -0 and 0 alike", () => {
    const greedy = makeSampler({ ...PLAIN, temperature: 0 });
    expect(greedy.want).toBe("argmax");
    expect(greedy.sample(all([1, 3, 3, 2]), NOTHING_SEEN)).toBe(1);
    const two = makeSampler({ ...PLAIN, top_k: 2 });
    const drawn = new Set(Array.from({ length: 100 }, () => two.sample(all([-0, 0, -1, 0]), NOTHING_SEEN)));
    expect([...drawn].sort()).toEqual([0, 1]);
  });

  test("lives with extreme logits and temperatures", () => {
    const wide = all([-3e38, 3e38, -Infinity, 1e-40]);
    for (const temperature of [1e-300, 1e-3, 100]) {
      expect(makeSampler({ ...PLAIN, temperature, top_p: 0.9 }).sample(wide, NOTHING_SEEN)).toBe(1);
    }
  });

  test("asks for no more than it needs", () => {
    const want = (settings: Partial<Sampling>) => makeSampler({ ...PLAIN, ...settings }).want;
    expect(want({ temperature: 0, top_k: 50 })).toBe("argmax");
    expect(want({ temperature: 0, repetition_penalty: 1.2 })).toBe("logits");
    expect(want({ top_k: MAX_CANDIDATES })).toBe("candidates");
    expect(want({ top_k: MAX_CANDIDATES + 1 })).toBe("logits");
    expect(want({ top_k: 0 })).toBe("logits");
    expect(want({ top_k: 4, repetition_penalty: 0.9 })).toBe("logits");
  });

  test.each([[Number.NaN], [Infinity]])("makes an error of a logit that is %d, never a token", (bad) => {
    for (const temperature of [0, 1]) {
      const { sample } = makeSampler({ ...PLAIN, temperature });
      expect(() => sample(all([1, bad, 2]), NOTHING_SEEN)).toThrow(LogitsError);
      expect(() => sample(all([bad, 1, 2]), NOTHING_SEEN)).toThrow(`The logit of token 0 is ${bad}`);
      expect(() => sample(all([-Infinity, -Infinity]), NOTHING_SEEN)).toThrow("Of 2 logits none");
    }
  });

  test("repeats itself for a seed and not for another", () => {
    const logits = Array.from({ length: 60 }, (_, i) => Math.sin(i));
    const run = (seed: number) => {
      const { sample } = makeSampler({ ...PLAIN, seed });
      return Array.from({ length: 40 }, () => sample(all(logits), NOTHING_SEEN)).join();
    };
    expect(run(1)).toBe(run(1));
    const runs = [0, 1, 2, 2 ** 32, 2 ** 32 + 1, 2 ** 53 - 1].map(run);
    expect(new Set(runs).size).toBe(runs.length);
  });
});

describe("uniform", () => {
  // From make_draws.py: the same seed gives the same answer in every version.
  test.each([
    [0, 0, 0.608151902703928],
    [0, 1, 0.49752383239327247],
    [1, 0, 0.6327937866122849],
    [7, 3, 0.6820832933881478],
    [20261125, 2047, 0.0745299649857607],
    [4294967296, 5, 0.687024287683602],
    [9007199254740991, 4294967295, 0.19982862661373346],
  ])("seed %i has as draw %i the number %d", (seed, counter, drawn) => {
    expect(uniform(seed!, counter!)).toBe(drawn);
  });

  test("is in [0, 1), even, and not correlated from one draw or seed to the next", () => {
    const count = 20000;
    for (const draw of [(i: number) => uniform(42, i), (i: number) => uniform(i, 0)]) {
      const values = Array.from({ length: count }, (_, i) => draw(i));
      expect(Math.min(...values)).toBeGreaterThanOrEqual(0);
      expect(Math.max(...values)).toBeLessThan(1);
      const bins = new Float64Array(20);
      for (const value of values) bins[Math.floor(value * 20)]! += 1;
      const chiSquared = bins.reduce((sum, n) => sum + (n - count / 20) ** 2 / (count / 20), 0);
      // 99.9th percentile of chi-squared with 19 degrees of freedom.
      expect(chiSquared).toBeLessThan(43.8);
      const lag = values.slice(1).reduce((sum, v, i) => sum + (v - 0.5) * (values[i]! - 0.5), 0) / count;
      // Five standard deviations: the product's variance is 1/144.
      expect(Math.abs(lag)).toBeLessThan(5 / 12 / Math.sqrt(count));
    }
  });
});

// Sizes of a heap of scores, and of one beside the other: of 4,096 buckets each score may have its own.
test.each([1, 2, 256, 4096].flatMap((size) => [size - 1, size, size + 1]).filter(Boolean))(
  "of %i scores the last counts as much as the first, whatever top_k keeps",
  (size) => {
    // Alike, apart, and the last in a bucket of its own; the best is the last.
    for (const score of [() => 0, (id: number) => id / 64 - 32, (id: number) => -1e30 / (id + 1)]) {
      const logits = Array.from({ length: size }, (_, id) => (id === size - 1 ? 1e4 : score(id)));
      for (const top_k of [0, 1, size - 1, size, size + 1]) {
        const sampler = makeSampler({ ...PLAIN, top_k });
        expect(sampler.sample(all(logits), NOTHING_SEEN)).toBe(size - 1);
      }
    }
    // Equal scores are drawn alike: the lowest ids that top_k keeps, and each of them.
    if (size > 3) return;
    for (const top_k of [size - 1, size, size + 1].filter(Boolean)) {
      const sampler = makeSampler({ ...PLAIN, top_k });
      const drawn = new Set(
        Array.from({ length: 99 }, () => sampler.sample(all(Array(size).fill(1)), NOTHING_SEEN)),
      );
      expect([...drawn].sort()).toEqual(Array.from({ length: Math.min(size, top_k) }, (_, id) => id));
    }
  },
);
