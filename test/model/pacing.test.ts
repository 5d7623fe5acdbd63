import { expect, it, vi } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { LlamaModel } from "../../src/model/model.ts";
import { Pacing, rowsToTime } from "../../src/model/pacing.ts";
import { uploadWeights } from "../../src/model/upload.ts";
import type { Weights } from "../../src/model/weights.ts";
import { aheadOf } from "../support/ahead.ts";
import { randomFolder } from "../support/checkpoint.ts";
import { expectClose } from "../support/close.ts";
import { useGpu } from "../support/gpu.ts";

/** As in model.test.ts: the same sums in another order. */
const ORDER = { relative: 1e-4 };

const gpu = useGpu();

/** 40 layers whose largest product is half of all. */
const weights = () => {
  const matrix = (rows: number) => ({ rows, columns: 32 });
  const layer = { qkv: matrix(30), out: matrix(10), gateUp: matrix(80), down: matrix(40) };
  return { layers: Array.from({ length: 40 }, () => layer) } as unknown as Weights;
};

it("begins with few rows, and a submit a layer", () => {
  const pacing = new Pacing(weights());
  expect(pacing.rowsOf(1500, 128)).toBe(32);
  expect(pacing.submitsOf(32)).toBe(40);
  expect(pacing.rowsOf(5, 128)).toBe(5);
  expect(pacing.rowsOf(1500, 16)).toBe(16);
});

it("fills passes on a quick adapter, and submits them at once", () => {
  const pacing = new Pacing(weights());
  pacing.note(32, 16);
  expect(pacing.rowsOf(1500, 128)).toBe(128);
  expect(pacing.rowsOf(90, 128)).toBe(90);
  expect(pacing.submitsOf(128)).toBe(1);
});

it("times a whole chunk where that does not keep an adapter for a tenth of a second", () => {
  expect(rowsToTime(128, 25)).toBe(128);
  expect(rowsToTime(128, 26)).toBe(32);
  expect(rowsToTime(16, 1000)).toBe(16);
});

it("takes more submits on a slow one, and fewer rows where a dispatch alone would take longer", () => {
  const pacing = new Pacing(weights());
  // A row takes 50 ms, of which the longest dispatch takes 50 / 80.
  pacing.note(32, 1600);
  expect(pacing.rowsOf(1500, 1024)).toBe(160);
  expect(pacing.submitsOf(160)).toBe(80);
  // All of them, in their order, in parts of about the same length.
  const dispatches = Array.from({ length: 403 }, (_, i) => i);
  const parts = pacing.partsOf(dispatches, 160);
  expect(parts).toHaveLength(80);
  expect(parts.flat()).toEqual(dispatches);
  expect(new Set(parts.map(({ length }) => length))).toEqual(new Set([5, 6]));
  expect(pacing.partsOf([1, 2, 3], 160)).toEqual([[1], [2], [3]]);
  pacing.note(160, 160_000);
  expect(pacing.rowsOf(1500, 1024)).toBe(32);
});

it("takes one submit for single tokens on a quick adapter, and by one that was held up not many more", () => {
  const pacing = new Pacing(weights());
  const submits = () => pacing.tokenPartsOf(Array.from({ length: 244 }, (_, i) => i)).length;
  expect(submits()).toBe(1);
  pacing.note(32, 32 * 250);
  expect(submits()).toBe(3);
  pacing.noteTokens(30);
  pacing.noteTokens(5000);
  expect(submits()).toBe(1);
  for (const wanted of [2, 3, 5, 10, 20, 39, 50, 50]) {
    pacing.noteTokens(5000);
    expect(submits()).toBe(wanted);
  }
});

it("gives a prompt or a token in submits of its own the answer that it has in one, a chunk after the other", async () => {
  const { config, open } = randomFolder({ num_hidden_layers: 3 }, 7);
  const storage = { formatOf: () => "q8" as const, cache: "f16" as const, context: 128, chunk: 64 };
  const model = await LlamaModel.create(gpu(), config, { ...storage, tokenCount: 290 });
  await uploadWeights(gpu(), model.weights, await openCheckpoint(open));
  const submit = vi.spyOn(gpu().device.queue, "submit");
  const prompt = Array.from({ length: 70 }, (_, i) => (i * 37 + 11) % 301);
  const run = async () => {
    submit.mockClear();
    const chunks: number[] = [];
    const sequence = model.open();
    const { logits } = await model.forward(sequence, prompt, "logits", undefined, (done) =>
      chunks.push(done),
    );
    sequence.discard();
    return { logits: logits.slice(), chunks, submits: submit.mock.calls.length };
  };
  const first = await run();
  // 32 rows in three submits, and then as the first pass was timed.
  expect(first.chunks[0]).toBe(32);
  expect(first.chunks.at(-1)).toBe(70);
  expect(first.submits).toBeGreaterThanOrEqual(4);
  const { note } = Pacing.prototype;
  const slow = vi.spyOn(Pacing.prototype, "note").mockImplementation(function (this: Pacing, rows) {
    note.call(this, rows, 30 * rows);
  });
  await run();
  const again = await run();
  expect(again.chunks).toEqual([32, 64, 70]);
  expect(again.submits).toBe(10 + 10 + 2);
  expectClose(again.logits, first.logits, ORDER);
  slow.mockRestore();

  // A pass of a token too, awaited or ahead of what is read.
  const tokens = async () => {
    const sequence = model.open();
    const { logits } = await model.forward(sequence, [5], "logits");
    const row = logits.slice();
    submit.mockClear();
    const run = await aheadOf(model, sequence, 7, 3);
    const ids: number[] = [];
    while (ids.length < 3) ids.push((await run.next()).ids[0]!);
    const ahead = submit.mock.calls.length;
    await run.end();
    submit.mockClear();
    await model.forward(sequence, [9], "argmax");
    sequence.discard();
    return { row, ids, ahead, awaited: submit.mock.calls.length };
  };
  const { noteTokens } = Pacing.prototype;
  let took = 1;
  const notes = vi.spyOn(Pacing.prototype, "noteTokens").mockImplementation(function (this: Pacing) {
    noteTokens.call(this, took);
  });
  const quick = await tokens();
  expect(quick).toMatchObject({ ahead: 3, awaited: 1 });
  took = 950;
  // Twice as many each time: it may have been somebody else.
  for (let i = 0; i < 3; i++) await tokens();
  expect(await tokens()).toEqual({ ...quick, ahead: 30, awaited: 10 });
  notes.mockRestore();
  submit.mockRestore();
  model.destroy();
});
