import { expect, it, vi } from "vitest";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { BusyError, ContextOverflowError, OptionError } from "../../src/errors.ts";
import type { Sampling } from "../../src/generate/options.ts";
import { makeSampler } from "../../src/generate/sampler.ts";
import type { AheadRow } from "../../src/model/language-model.ts";
import { LlamaModel } from "../../src/model/model.ts";
import type { Sequence } from "../../src/model/sequence.ts";
import { uploadWeights } from "../../src/model/upload.ts";
import { aheadOf } from "../support/ahead.ts";
import { randomFolder } from "../support/checkpoint.ts";
import { useGpu } from "../support/gpu.ts";

const gpu = useGpu();
const PROMPT = [11, 48, 85, 122, 159];
/** Four pages of 32. */
const CONTEXT = 128;

const SAMPLING: Sampling = {
  temperature: 1,
  top_k: 50,
  top_p: 1,
  min_p: 0,
  repetition_penalty: 1,
  seed: 1,
};

async function withModel(
  depth: number,
  use: (model: LlamaModel) => Promise<void>,
  cacheTokens = CONTEXT,
): Promise<void> {
  const { config, open } = randomFolder({ num_hidden_layers: 2, num_key_value_heads: 2 }, 7);
  const storage = {
    formatOf: () => "q8" as const,
    cache: "f16" as const,
    context: CONTEXT,
    cacheTokens,
    chunk: 16,
  };
  const model = await LlamaModel.create(gpu(), config, { ...storage, tokenCount: 290, depth });
  try {
    await uploadWeights(gpu(), model.weights, await openCheckpoint(open));
    await use(model);
  } finally {
    model.destroy();
  }
}

/** The tokens after the prompt, each pass awaited: what every run is held to. */
async function stepByStep(model: LlamaModel, sequence: Sequence, count: number): Promise<number[]> {
  const ids: number[] = [];
  let next = PROMPT;
  for (let i = 0; i < count; i++) {
    ids.push((await model.forward(sequence, next, "argmax")).ids[0]!);
    next = [ids.at(-1)!];
  }
  return ids;
}

/** The same of a run of up to `most`, of which `count` are read. */
async function inRun(model: LlamaModel, sequence: Sequence, count: number, most = count): Promise<number[]> {
  const ids = [(await model.forward(sequence, PROMPT, "argmax")).ids[0]!];
  const run = await aheadOf(model, sequence, ids[0]!, most - 1);
  try {
    while (ids.length < count) ids.push((await run.next()).ids[0]!);
    return ids;
  } finally {
    await run.end();
  }
}

it.each([1, 2, 4, 8])("a run at depth %i draws what a pass after the other draws, over pages", (depth) =>
  withModel(depth, async (model) => {
    const count = CONTEXT - PROMPT.length + 1;
    const alone = model.open();
    const wanted = await stepByStep(model, alone, count);
    expect(alone.length).toBe(CONTEXT);
    expect(new Set(wanted).size).toBeGreaterThan(5);
    alone.discard();
    const before = gpu().allocated;
    for (const most of [count, count - 1, 70, 2]) {
      const sequence = model.open();
      expect(await inRun(model, sequence, most)).toEqual(wanted.slice(0, most));
      // The last token was drawn, not run.
      expect(sequence.tokens).toEqual([...PROMPT, ...wanted.slice(0, most - 1)]);
      sequence.discard();
    }
    expect(gpu().allocated).toBe(before);
  }),
);

it.each([2, 4, 8])("a run at depth %i that ends early leaves what was read, and nothing else", (depth) =>
  withModel(depth, async (model) => {
    const alone = model.open();
    const wanted = await stepByStep(model, alone, 60);
    alone.discard();
    for (const count of [1, 2, 3, 27, 28, 29, 30]) {
      const sequence = model.open();
      expect(await inRun(model, sequence, count, 100)).toEqual(wanted.slice(0, count));
      expect(sequence.tokens).toEqual([...PROMPT, ...wanted.slice(0, count - 1)]);
      expect(sequence.pages.length).toBe(Math.ceil(sequence.length / 32));
      // Another sequence runs over the pages that were given back; this one goes on as if alone.
      const other = model.open();
      await model.forward(
        other,
        Array.from({ length: 40 }, (_, i) => i + 3),
        "argmax",
      );
      const { ids } = await model.forward(sequence, [wanted[count - 1]!], "argmax");
      expect(ids[0]).toBe(wanted[count]);
      for (const open of [sequence, other]) open.discard();
    }
  }),
);

it("runs up to its depth before the first is read, and no more than asked for", () =>
  withModel(4, async (model) => {
    const sequence = model.open();
    const first = (await model.forward(sequence, PROMPT, "argmax")).ids[0]!;
    const submit = vi.spyOn(gpu().device.queue, "submit");
    const run = await aheadOf(model, sequence, first, 6);
    expect(submit).toHaveBeenCalledTimes(0);
    const counts: number[] = [];
    for (let i = 0; i < 6; i++) {
      await run.next();
      counts.push(submit.mock.calls.length);
    }
    expect(counts).toEqual([4, 5, 6, 6, 6, 6]);
    await expect(run.next()).rejects.toThrow(OptionError);
    await run.end();
    submit.mockRestore();
  }));

it("stops for want of room where a pass after the other stops, not ahead of it", () =>
  withModel(4, async (model) => {
    const other = model.open();
    await model.forward(
      other,
      Array.from({ length: 90 }, (_, i) => i + 3),
      "argmax",
    );
    // One page is left: the prompt and 27 more.
    const sequence = model.open();
    const ids = [(await model.forward(sequence, PROMPT, "argmax")).ids[0]!];
    const run = await aheadOf(model, sequence, ids[0]!, 60);
    for (let i = 0; i < 27; i++) ids.push((await run.next()).ids[0]!);
    expect(sequence.length).toBe(32);
    await expect(run.next()).rejects.toThrow(ContextOverflowError);
    // Somebody makes room, and it goes on.
    other.discard();
    for (let i = 0; i < 10; i++) ids.push((await run.next()).ids[0]!);
    await run.end();
    sequence.discard();
    expect(ids).toEqual(await stepByStep(model, model.open(), 38));
  }));

/** What three rows are asked for: beside one another, and each alone. */
const CHOICES: Partial<Sampling>[] = [
  { temperature: 0, repetition_penalty: 3 },
  {
    temperature: 5,
    top_k: 20,
    seed: 3,
    repetition_penalty: 1.4,
    suppress_tokens: new Set([0, 1, 5, 200, 5000]),
  },
  { temperature: 5, top_k: 64, seed: 4 },
  { temperature: 0, suppress_tokens: new Set([17, 99]) },
];

it.each([[CHOICES], ...CHOICES.map((one) => [[one]])])(
  "chooses what the host would of all logits, with penalties and without: %j",
  (choices) =>
    withModel(
      4,
      async (model) => {
        const answers = await Promise.all(
          choices.map(async (choice) => {
            const sampler = makeSampler({ ...SAMPLING, ...choice });
            expect(sampler.runsAhead).toBe(true);
            return { sampler, prompt: [...PROMPT, choice.seed ?? 9], wanted: [] as number[] };
          }),
        );
        for (const { sampler, prompt, wanted } of answers) {
          const sequence = model.open();
          for (let next = prompt; wanted.length < 60; next = [wanted.at(-1)!]) {
            const logits = await model.forward(sequence, next, "logits");
            wanted.push(sampler.sample(logits, new Set([...prompt, ...wanted])));
          }
          sequence.discard();
          expect(new Set(wanted).size).toBeGreaterThan(5);
        }
        const rows: AheadRow[] = [];
        for (const { sampler, prompt, wanted } of answers) {
          const sequence = model.open();
          await model.forward(sequence, prompt, "logits");
          const draws = sampler.draws && { options: sampler.draws, before: 1 };
          rows.push({ sequence, token: wanted[0]!, draws, penalties: sampler.penalties });
        }
        const run = (await model.ahead(rows, 59))!;
        const got = answers.map(({ wanted }) => [wanted[0]!]);
        for (let i = 0; i < 59; i++) {
          for (const [d, { ids }] of (await run.next())!.slice(0, rows.length).entries())
            got[d]!.push(ids[0]!);
        }
        await run.end();
        expect(got).toEqual(answers.map(({ wanted }) => wanted));
      },
      4 * CONTEXT,
    ),
);

it("has the model to itself until it ends", () =>
  withModel(4, async (model) => {
    const [sequence, other] = [model.open(), model.open()];
    await expect(aheadOf(model, sequence, 301, 4)).rejects.toThrow("Token id 301");
    const run = await aheadOf(model, sequence, 5, 9);
    await run.next();
    await expect(model.forward(other, [1], "argmax")).rejects.toThrow(BusyError);
    await expect(aheadOf(model, other, 1, 4)).rejects.toThrow("end the run");
    await run.end();
    await model.forward(other, [1], "argmax");
    expect(sequence.tokens).toEqual([5]);
  }));
