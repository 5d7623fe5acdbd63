import { ADVANCE, type PagesShape } from "../../kernels/advance.ts";
import { ARGMAX, type SelectionShape } from "../../kernels/argmax.ts";
import { marksLength, PENALISE, penaltyFactors, setMarks } from "../../kernels/penalise.ts";
import { ROW, ROWS_HEADER } from "../../kernels/rows.ts";
import { drawIndex, drawSettings, SAMPLE, SETTINGS } from "../../kernels/sample.ts";
import { NO_ID, TOP, TOP_K } from "../../kernels/topk.ts";
import { repeatedNoise } from "./numbers.ts";
import type { Stage } from "./stage.ts";
import { type Check, check, exactly, type Trial, type Words } from "./trial.ts";

/** How a token is drawn here, and the upper 32 bits of the number that the seed has for a draw. */
export const DRAW = {
  options: { temperature: 0.8, top_k: 50, top_p: 0.9, min_p: 0.01, seed: 11 },
  counter: 3,
  number: 3233806321,
};

/** How much less likely tokens are here that were seen: its inverse is no f32. */
const PENALTY = 1.3;

/** Logits [drawn, vocab] in steps, so that many are equal; those that do not count are larger, and in turns the last that does. */
function logitsOf({ vocab, limit }: SelectionShape, stage: Stage): Float32Array<ArrayBuffer> {
  const { drawn } = stage.scene;
  const logits = repeatedNoise(drawn.length * vocab, 11, 80);
  for (let i = 0; i < logits.length; i++) logits[i] = Math.round(logits[i]!) / 8;
  for (const d of drawn.keys()) {
    if (d % 2 === 0) logits[d * vocab + limit - 1] = 11;
    logits.fill(12, d * vocab + limit, (d + 1) * vocab);
  }
  return logits;
}

/** The `count` best ids of a row: by falling logit, of equal ones by rising id. */
function bestOf(logits: Float32Array, count: number): number[] {
  let some: number[] = [];
  // Few are so large, but enough where there are many: the others need no sorting.
  for (const least of [9, Number.NEGATIVE_INFINITY]) {
    some = [];
    for (let id = 0; id < logits.length; id++) if (logits[id]! >= least) some.push(id);
    if (some.length >= count) break;
  }
  return some.sort((a, b) => logits[b]! - logits[a]! || a - b).slice(0, count);
}

function bitsOf(values: readonly number[]): Uint32Array {
  return new Uint32Array(Float32Array.from(values).buffer);
}

/** What is left of each drawn row of logits, one after the other, with `stride` words a row. */
function selected(shape: SelectionShape, stage: Stage, count: number) {
  const logits = logitsOf(shape, stage);
  const wanted = stage.scene.drawn.flatMap((_, d) => {
    const row = logits.subarray(d * shape.vocab, d * shape.vocab + shape.limit);
    const best = bestOf(row, count);
    const none = Array.from({ length: count - best.length });
    return [
      ...best,
      ...none.map(() => NO_ID),
      ...bitsOf([...best.map((id) => row[id]!), ...none.map(() => Number.NEGATIVE_INFINITY)]),
    ];
  });
  return { inputs: { logits }, outputs: { best: exactly(wanted) }, allowed: 0 };
}

/** The rows of the next pass, whose d-th has the id that was chosen, and those ids with their logits' bits. */
function nextRows(
  { context }: PagesShape,
  { scene }: Stage,
  choose: (d: number) => readonly [id: number, logit: number],
): Trial["outputs"] {
  const before: Words = scene.rowsWords;
  const rows = scene.rowsWords;
  for (const d of scene.drawn.keys()) {
    const { sequence, position } = scene.rows[d]!;
    const place = scene.placeOf(sequence, position + 1);
    rows.set([choose(d)[0], position + 1, sequence, place], ROWS_HEADER + ROW * d);
  }
  const chosen = [...scene.drawn.keys()].flatMap(choose);
  // Behind the last position that a sequence may have no page is known.
  const goesOn = scene.drawn.every((_, d) => scene.rows[d]!.position + 1 < context);
  return { chosen: exactly(chosen), ...(goesOn ? { rows: exactly(rows, before) } : {}) };
}

/** How a token is chosen, and the rows of the next pass made. */
export const DRAWING_CHECKS: readonly Check[] = [
  check(ARGMAX, (shape, _, stage) => selected(shape, stage, 1)),
  check(TOP, (shape, _, stage) => selected(shape, stage, TOP_K)),
  check(PENALISE, (shape, _, stage) => {
    const { rows, drawn } = stage.scene;
    const logits = logitsOf({ ...shape, limit: shape.vocab }, stage);
    const length = marksLength(shape.vocab);
    const ids = Array.from({ length: shape.vocab }, (_, id) => id);
    const seen = ids.filter((id) => id % 3 === 1);
    const suppress_tokens = new Set(ids.filter((id) => id % 11 === 4));
    const marks = new Uint32Array(length * drawn.length);
    const after = marks.slice();
    const [grow, shrink] = penaltyFactors(PENALTY);
    const wanted = logits.slice();
    for (const [d, t] of drawn.entries()) {
      const penalties = { repetition_penalty: PENALTY, suppress_tokens };
      const { token } = rows[t]!;
      const lineOf = (all: Words) => all.subarray(length * d, length * (d + 1)) as Uint32Array;
      setMarks(lineOf(marks), penalties, seen);
      setMarks(lineOf(after), penalties, [...seen, token]);
      for (const id of ids) {
        const at = shape.vocab * d + id;
        const logit = wanted[at]!;
        if (suppress_tokens.has(id)) wanted[at] = Number.NEGATIVE_INFINITY;
        else if (id % 3 === 1 || id === token) wanted[at] = logit * (logit < 0 ? grow! : shrink!);
      }
    }
    const bits = new Uint32Array(wanted.buffer);
    return {
      inputs: {},
      outputs: { logits: exactly(bits, logits), marks: exactly(after, marks) },
      allowed: 0,
    };
  }),
  check(SAMPLE, (shape, _, stage) => {
    const rows = stage.scene.drawn;
    const sorted = Float32Array.from({ length: TOP_K }, (_, i) => 9 - i / 8);
    const best = new Uint32Array(2 * TOP_K * rows.length);
    const settings = new Uint32Array(SETTINGS * rows.length);
    for (const d of rows.keys()) {
      best.set(
        Uint32Array.from(sorted, (_, i) => 1000 * (d + 1) - i),
        2 * TOP_K * d,
      );
      best.set(new Uint32Array(sorted.buffer), TOP_K * (2 * d + 1));
      // Its rows are the scene's first ones, as all are drawn from where it is used.
      settings.set(drawSettings(DRAW.options, stage.scene.rows[d]!.position - DRAW.counter), SETTINGS * d);
    }
    const kept = Uint32Array.from({ length: DRAW.options.top_k }, (_, i) => i);
    const index = drawIndex(sorted, kept, settings, DRAW.number);
    const [logit] = bitsOf([sorted[index]!]);
    const outputs = nextRows(shape, stage, (d) => [1000 * (d + 1) - index, logit!]);
    return { inputs: { best, settings }, outputs, allowed: 0 };
  }),
  check(ADVANCE, (shape, _, stage) => {
    const choose = (d: number): [number, number] => [321 + d, 77 + d];
    const best = Uint32Array.from([...stage.scene.drawn.keys()].flatMap(choose));
    return { inputs: { best }, outputs: nextRows(shape, stage, choose), allowed: 0 };
  }),
];
