import { expect, it } from "vitest";
import { marksLength, PENALISE, type Penalties, setMarks } from "../../src/kernels/penalise.ts";
import { MOST_DRAWN } from "../../src/kernels/rows.ts";
import { prepare } from "../../src/kernels/way.ts";
import { runAndRead, upload, useGpu } from "../support/gpu.ts";
import { randomStream } from "../support/random.ts";
import { uploadRows } from "../support/rows.ts";

const gpu = useGpu();

/** A row: the token that it is of, those before it, and what is asked for. */
interface Case {
  readonly token: number;
  readonly seen: readonly number[];
  readonly penalties: Penalties;
}

/** In float64, where the kernel multiplies by an f32: what the quotient of transformers is, but for two roundings. */
function oracle(logits: Float32Array, { token, seen, penalties }: Case): Float64Array {
  const all = new Set([...seen, token]);
  const { repetition_penalty: penalty, suppress_tokens: suppressed } = penalties;
  return Float64Array.from(logits, (logit, id) => {
    if (suppressed?.has(id)) return -Infinity;
    return all.has(id) ? (logit < 0 ? logit * penalty : logit / penalty) : logit;
  });
}

/** Of f32: one of the factor, one of the product. */
const ROUNDINGS = 2 * 2 ** -24;

/** Runs passes of the rows, whose tokens change from one to the next: the logits that each leaves, a row each. */
async function penalised(
  cases: readonly Case[],
  logits: readonly Float32Array[],
  passes: readonly number[][],
) {
  const vocab = logits[0]!.length;
  const kernel = await prepare(gpu(), PENALISE, { vocab, drawn: MOST_DRAWN });
  const marks = new Uint32Array(marksLength(vocab) * MOST_DRAWN);
  for (const [d, { penalties, seen }] of cases.entries()) {
    setMarks(marks.subarray(marksLength(vocab) * d, marksLength(vocab) * (d + 1)), penalties, seen);
  }
  const kept = upload(gpu(), marks);
  const left: Float32Array[][] = [];
  for (const tokens of passes) {
    const words = new Float32Array(vocab * MOST_DRAWN).fill(5);
    for (const [d, row] of logits.entries()) words.set(row, vocab * d);
    const buffer = upload(gpu(), words);
    // In a pass of other rows too, which are not drawn from: as behind a prompt.
    const rows = uploadRows(
      gpu(),
      [{ token: 1, position: 3 }, ...tokens.map((token) => ({ token, position: 4 }))],
      tokens.map((_, d) => d + 1),
    );
    const got = await runAndRead(gpu(), [kernel({ logits: buffer, marks: kept, rows })], buffer);
    const all = new Float32Array(got.buffer);
    expect(all.subarray(vocab * tokens.length).every((logit) => logit === 5)).toBe(true);
    left.push(tokens.map((_, d) => all.slice(vocab * d, vocab * (d + 1))));
  }
  return left;
}

function expectNear(got: Float32Array, wanted: Float64Array): void {
  const wrong = [...got.keys()].filter(
    (id) =>
      !(got[id] === wanted[id] || Math.abs(got[id]! - wanted[id]!) <= ROUNDINGS * Math.abs(wanted[id]!)),
  );
  expect(wrong).toEqual([]);
}

const random = randomStream(3);
const idsOf = (count: number, vocab: number) =>
  Array.from({ length: count }, () => Math.floor(random() * vocab));
const logitsOf = (vocab: number) => Float32Array.from({ length: vocab }, () => random() * 40 - 20);

it.each([1, 31, 33, 290, 39_424])("makes what was seen of %i ids less likely, or more", async (vocab) => {
  const cases: Case[] = [
    { penalties: { repetition_penalty: 1.3 }, seen: idsOf(2048, vocab), token: 0 },
    { penalties: { repetition_penalty: 0.01 }, seen: idsOf(5, vocab), token: vocab - 1 },
    { penalties: { repetition_penalty: 1 }, seen: idsOf(300, vocab), token: vocab >> 1 },
    {
      penalties: { repetition_penalty: 100, suppress_tokens: new Set(idsOf(9, vocab)) },
      seen: idsOf(40, vocab),
      token: vocab - 1,
    },
    { penalties: { repetition_penalty: 1, suppress_tokens: new Set([0, vocab - 1]) }, seen: [], token: 0 },
  ];
  const logits = cases.map(() => logitsOf(vocab));
  const [left] = await penalised(cases, logits, [cases.map(({ token }) => token)]);
  for (const [d, one] of cases.entries()) expectNear(left![d]!, oracle(logits[d]!, one));
});

it("keeps in mind what was said, pass after pass", async () => {
  const penalties = { repetition_penalty: 1.7 };
  const passes = [
    [7, 40],
    [8, 64],
    [39, 7],
  ];
  const logits = [logitsOf(70), logitsOf(70)];
  const cases = passes[0]!.map((token) => ({ token, seen: [3], penalties }));
  const left = await penalised(cases, logits, passes);
  for (const [p, tokens] of passes.entries()) {
    for (const [d, token] of tokens.entries()) {
      const seen = [3, ...passes.slice(0, p).map((before) => before[d]!)];
      expectNear(left[p]![d]!, oracle(logits[d]!, { token, seen, penalties }));
    }
  }
});

it("leaves what is no finite number, unless it is suppressed, and the sign of zero", async () => {
  const row = Float32Array.of(Number.NaN, Infinity, -Infinity, Number.NaN, Infinity, 0, -0, 3e38, 1);
  const penalties = { repetition_penalty: 1.1, suppress_tokens: new Set([3, 4, 9, 4000]) };
  const [left] = await penalised([{ token: 0, seen: [1, 2, 5, 6, 7], penalties }], [row], [[0]]);
  const shrunk = Math.fround(3e38) / 1.1;
  expectNear(left![0]!.subarray(7), Float64Array.of(shrunk, 1));
  expect([...left![0]!.subarray(0, 7)]).toEqual([NaN, Infinity, -Infinity, -Infinity, -Infinity, 0, -0]);
});
