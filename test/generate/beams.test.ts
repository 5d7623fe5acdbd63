import { describe, expect, test } from "vitest";
import { LogitsError } from "../../src/errors.ts";
import { type BeamRules, BeamSearch, type Hypothesis } from "../../src/generate/beams.ts";
import { beamOracle } from "../oracle/beams.ts";
import { scatter } from "../support/model.ts";
import { randomStream } from "../support/random.ts";

/** Sums of log probabilities that were rounded to float64 in another order. */
const ROUNDING = 12;

type Logits = (ids: readonly number[]) => ArrayLike<number>;

function logProbabilities(logits: ArrayLike<number>): Float64Array {
  const values = Float64Array.from(logits);
  const log = Math.log(values.reduce((sum, value) => sum + Math.exp(value), 0));
  return values.map((value) => value - log);
}

/** All answers of a search over logits that are a function of the ids so far, and how many steps it took. */
function search(logitsAfter: Logits, rules: Partial<BeamRules>): { best: Hypothesis[]; steps: number } {
  const all = { num_beams: 4, length_penalty: 1, early_stopping: false, maxTokens: 8, stopIds: new Set([0]) };
  const beams = new BeamSearch({ ...all, ...rules });
  let steps = 0;
  for (; !beams.isDone; steps++) {
    beams.step(beams.beams.map(({ tokens }) => logProbabilities(logitsAfter(tokens))));
  }
  return { best: beams.best(rules.num_beams ?? 4), steps };
}

const idsOf = (hypotheses: readonly Hypothesis[]) => hypotheses.map(({ tokens }) => tokens);

/** Of a vocabulary of four (0 ends, the others are "a", "b" and "c"), by the text so far; of a text that is not here all the same. */
function tree(probabilities: Readonly<Record<string, readonly number[]>>): Logits {
  return (ids) => {
    const text = ids.map((id) => ".abc"[id]).join("");
    return (probabilities[text] ?? [0.25, 0.25, 0.25, 0.25]).map(Math.log);
  };
}

describe("a beam search", () => {
  const misleading = tree({
    "": [0.01, 0.5, 0.48, 0.01],
    a: [0.01, 0.33, 0.33, 0.33],
    b: [0.9, 0.05, 0.03, 0.02],
    aa: [0.97, 0.01, 0.01, 0.01],
    ab: [0.97, 0.01, 0.01, 0.01],
    ac: [0.97, 0.01, 0.01, 0.01],
    ba: [0.97, 0.01, 0.01, 0.01],
  });

  test("finds what the likeliest first token hides, which one beam does not", () => {
    const rules = { maxTokens: 3, length_penalty: 0 };
    const one = search(misleading, { ...rules, num_beams: 1 }).best;
    expect(idsOf(one)).toEqual([[1, 1, 0]]);
    const { best } = search(misleading, { ...rules, num_beams: 2 });
    expect(best[0]).toEqual({
      tokens: [2, 0],
      score: expect.closeTo(Math.log(0.48 * 0.9), ROUNDING),
      end: "stop",
    });
  });

  test("has length_penalty divide by the tokens, the one that ends included", () => {
    const scores = [-1, 0, 1].map((length_penalty) => {
      const { best } = search(misleading, { maxTokens: 3, num_beams: 2, length_penalty });
      return best.find(({ tokens }) => tokens[0] === 2)!.score;
    });
    const log = Math.log(0.48 * 0.9);
    for (const [i, wanted] of [2 * log, log, log / 2].entries()) {
      expect(scores[i]).toBeCloseTo(wanted, ROUNDING);
    }
  });

  test("with room for all of them ranks every answer that there is", () => {
    const logitsAfter = (ids: readonly number[]) => scatter([7, ...ids], 3);
    const all: { tokens: number[]; score: number }[] = [];
    const walk = (tokens: number[], sum: number): void => {
      if (tokens.length > 0 && (tokens.at(-1) === 0 || tokens.length === 3)) {
        all.push({ tokens, score: sum / tokens.length });
        return;
      }
      const row = logProbabilities(logitsAfter(tokens));
      for (const id of row.keys()) walk([...tokens, id], sum + row[id]!);
    };
    walk([], 0);
    all.sort((a, b) => b.score - a.score);
    const { best } = search(logitsAfter, { num_beams: 16, maxTokens: 3 });
    expect(all).toHaveLength(15);
    expect(idsOf(best)).toEqual(all.map(({ tokens }) => tokens));
  });

  test("takes of equals the lower beam, then the lower id, and of equal answers the older", () => {
    const level: Logits = () => new Float64Array(5);
    const { best } = search(level, { num_beams: 3, maxTokens: 2, stopIds: new Set([4]) });
    expect(idsOf(best)).toEqual([
      [0, 0],
      [0, 1],
      [0, 2],
    ]);
    // With penalty 0 the same probability for one token and for two: what ended first stays first.
    const equal = tree({ "": [0.25, 0.75, 0, 0], a: [1 / 3, 1 / 3, 1 / 3, 0] });
    const rules = { num_beams: 3, maxTokens: 2, length_penalty: 0 };
    expect(idsOf(search(equal, rules).best)).toEqual([[0], [1, 0], [1, 1]]);
  });

  test("drops an answer that ends behind the first num_beams, and still has as many to go on with", () => {
    const logits = tree({
      "": [0.1, 0.5, 0.3, 0.1],
      a: [0.3, 0.35, 0.34, 0.01],
      b: [0.3, 0.35, 0.34, 0.01],
    });
    const beams = new BeamSearch({
      num_beams: 2,
      length_penalty: 1,
      early_stopping: false,
      maxTokens: 9,
      stopIds: new Set([0]),
    });
    beams.step([logProbabilities(logits([]))]);
    beams.step(beams.beams.map(({ tokens }) => logProbabilities(logits(tokens))));
    expect(beams.beams.map(({ tokens, parent }) => [tokens, parent])).toEqual([
      [[1, 1], 0],
      [[1, 2], 0],
    ]);
    expect(idsOf(beams.best(3))).toEqual([
      [1, 1],
      [1, 2],
    ]);
    expect(beams.best(1)[0]!.end).toBeUndefined();
  });

  test("has as many to go on with where several ids end an answer", () => {
    const rules = { num_beams: 2, length_penalty: 1, early_stopping: false, maxTokens: 9 };
    const beams = new BeamSearch({ ...rules, stopIds: new Set([0, 1, 2]) });
    beams.step([Float64Array.from([0.2, 0.15, 0.13, 0.4, 0.02, 0.1], Math.log)]);
    expect(beams.beams.map(({ tokens }) => tokens)).toEqual([[3], [5]]);
    expect(idsOf(beams.best(1))).toEqual([[0]]);
  });

  test("ends early where it is asked to, which may cost the better answer", () => {
    const late = tree({
      "": [0.4, 0.35, 0.15, 0.1],
      a: [0.02, 0.9, 0.05, 0.03],
      b: [0.9, 0.05, 0.03, 0.02],
      aa: [0.02, 0.95, 0.02, 0.01],
      aaa: [0.95, 0.02, 0.02, 0.01],
    });
    const rules = { num_beams: 2, maxTokens: 4, length_penalty: 2 };
    const early = search(late, { ...rules, early_stopping: true });
    const patient = search(late, rules);
    expect([early.steps, patient.steps]).toEqual([2, 4]);
    expect(patient.best[0]!.score).toBeGreaterThan(early.best[0]!.score);
    expect(patient.best[0]!.tokens).toEqual([1, 1, 1, 0]);
  });

  test("refuses to go on where nothing may come", () => {
    const nothing: Logits = () => new Float64Array(5).fill(Number.NEGATIVE_INFINITY);
    const beams = new BeamSearch({
      num_beams: 2,
      length_penalty: 1,
      early_stopping: false,
      maxTokens: 9,
      stopIds: new Set(),
    });
    expect(() => beams.step([Float64Array.from(nothing([]))])).toThrow(LogitsError);
  });

  // Logits that are whole numbers tie often; those of ids that end are raised, so that answers end at every length.
  test.each([
    ["of any size", (logit: number) => logit],
    ["that tie", Math.round],
  ])("has the answers of the reference over logits %s", (_, shape) => {
    const next = randomStream(11);
    const whole = (most: number) => Math.floor(next() * most);
    const ends = new Map<string, number>();
    for (let round = 0; round < 400; round++) {
      const rules = {
        width: 1 + (round % 8),
        penalty: [0, 1, 2, -1, 0.6][whole(5)]!,
        early: next() < 0.5,
        longest: 1 + whole(9),
        ends: [[], [3], [3, 5], [0, 3, 5]][whole(4)]!,
      };
      const lift = 3 * next();
      const logitsAfter = (ids: readonly number[]) =>
        Float64Array.from(scatter([round, ...ids], 12), (logit, id) =>
          shape(logit + (rules.ends.includes(id) ? lift : 0)),
        );
      const { best } = search(logitsAfter, {
        num_beams: rules.width,
        length_penalty: rules.penalty,
        early_stopping: rules.early,
        maxTokens: rules.longest,
        stopIds: new Set(rules.ends),
      });
      const wanted = beamOracle(logitsAfter, rules);
      expect(idsOf(best), JSON.stringify(rules)).toEqual(wanted.map(({ ids }) => ids));
      for (const [i, { score, end, tokens }] of best.entries()) {
        expect(score).toBeCloseTo(wanted[i]!.score, ROUNDING);
        const how = `${end} ${tokens.length === rules.longest}`;
        ends.set(how, (ends.get(how) ?? 0) + 1);
      }
    }
    // Each way to end came often.
    for (const how of ["stop true", "stop false", "length true"]) expect(ends.get(how)).toBeGreaterThan(100);
  });
});
