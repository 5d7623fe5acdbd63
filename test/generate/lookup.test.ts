import { expect, test, vi } from "vitest";
import { Lookup } from "../../src/generate/lookup.ts";
import type { Sampling } from "../../src/generate/options.ts";
import { Recovery } from "../../src/generate/recovery.ts";
import { makeSampler } from "../../src/generate/sampler.ts";
import { Scheduler } from "../../src/generate/scheduler.ts";
import { certain, FakeModel, type FakeModelOptions, runAheadOf, scatter } from "../support/model.ts";
import { randomStream } from "../support/random.ts";

const COUNT = 50;
const SAMPLING = { temperature: 0, top_k: 0, top_p: 1, min_p: 0, repetition_penalty: 1, seed: 3 };

type Asked = Partial<Sampling> & { lookup?: number; stopIds?: ReadonlySet<number> };

async function answer(
  { model, scheduler }: { model: FakeModel; scheduler: Scheduler },
  prompt: readonly number[],
  maxTokens: number,
  { lookup = 0, stopIds = new Set(), ...sampling }: Asked = {},
) {
  const before = model.passes.length;
  const sampler = makeSampler({ ...SAMPLING, ...sampling });
  const ticket = scheduler.submit({ prompt, maxTokens, sampler, lookup, stopIds });
  const ids: number[] = [];
  while (ids.length < maxTokens && !stopIds.has(ids.at(-1)!)) ids.push((await ticket.next()).id);
  await scheduler.close(ticket);
  return { ids, passes: model.passes.slice(before) };
}

function schedule(options: Partial<FakeModelOptions> = {}) {
  const model = new FakeModel({ tokenCount: COUNT, contextLength: 200, pages: 64, ...options });
  return { model, scheduler: new Scheduler(new Recovery({ model })) };
}

/** Logits of one that repeats its prompt of twenty tokens, and mistakes one now and then. */
const copying = (mistake: (at: number) => boolean) => (tokens: readonly number[]) =>
  certain(mistake(tokens.length) ? 49 : tokens[tokens.length - 20]!, COUNT);

const PROMPT = Array.from({ length: 20 }, (_, i) => (i * 7) % 45);

test("an answer that quotes takes a fraction of the passes, and is the same", async () => {
  const logitsAfter = copying(() => false);
  const plain = await answer(schedule({ logitsAfter }), PROMPT, 60);
  expect(plain.passes.length).toBeGreaterThan(60);
  const drafted = await answer(schedule({ logitsAfter }), PROMPT, 60, { lookup: 10 });
  expect(drafted.ids).toEqual(plain.ids);
  expect(drafted.passes.length).toBeLessThan(20);
});

test("runs ahead of what is read until there is something to copy, and again behind it", async () => {
  // Twenty tokens that nothing stands before, those again, and others.
  const logitsAfter = (tokens: readonly number[]) => {
    const { length } = tokens;
    return certain(length >= 40 && length < 60 ? tokens[length - 20]! : length - 20, COUNT);
  };
  const plain = await answer(schedule({ logitsAfter }), PROMPT, 46);
  const state = schedule({ logitsAfter });
  const ahead = runAheadOf(state.model);
  const draft = vi.spyOn(Lookup.prototype, "draft");
  const { ids, passes } = await answer(state, PROMPT, 46, { lookup: 10 });
  expect(ids).toEqual(plain.ids);
  const lengths = passes.slice(2).map((parts) => parts.flat().length);
  // Three are copied before it is noticed, and the last ones confirm no more than themselves.
  expect(lengths.slice(0, 22)).toEqual(Array(22).fill(1));
  expect(Math.max(...lengths)).toBe(11);
  expect(lengths.slice(-4)).toEqual([1, 1, 1, 1]);
  expect(ahead.passes).toBeGreaterThan(25);
  // Once for each pass that gives a token, whoever asks.
  expect(draft.mock.calls.length).toBeLessThanOrEqual(passes.length);
  draft.mockRestore();
});

test("drafts that are wrong again and again end, by what their passes and the others take", async () => {
  let clock = 0;
  vi.spyOn(performance, "now").mockImplementation(() => clock);
  // Three of the same, and then always another one.
  const logitsAfter = ({ length }: readonly number[]) =>
    certain(length % 4 === 0 ? 1 + length / 4 : 0, COUNT);
  const state = schedule({
    logitsAfter,
    onPass() {
      clock += state.model.passes.at(-1)!.flat().length;
    },
  });
  const { passes } = await answer(state, [0, 0, 0, 0], 100, { lookup: 4 });
  const drafted = passes.map(([part]) => part!.length > 1);
  expect(drafted.slice(1, 21).filter(Boolean)).toHaveLength(4);
  // They rest for 32 tokens, of which every fourth would have had a draft, and then for 64.
  expect(drafted.filter(Boolean).length).toBeLessThan(10);
  vi.restoreAllMocks();
});

test.each([1, 2, 5, 15])("drafts of %i that are wrong at any place change no token", async (lookup) => {
  for (const every of [2, 3, 5, 8, 13]) {
    for (const sampling of [{}, { temperature: 1, seed: 9 }, { temperature: 0.5, repetition_penalty: 1.5 }]) {
      const logitsAfter = copying((at) => at % every === 0);
      const stopIds = new Set([42]);
      const plain = await answer(schedule({ logitsAfter }), PROMPT, 50, { stopIds, ...sampling });
      const state = schedule({ logitsAfter });
      const drafted = await answer(state, PROMPT, 50, { lookup, stopIds, ...sampling });
      expect(drafted.ids).toEqual(plain.ids);
      // What the cache has is what was drawn, but for the last.
      const all = [...PROMPT, ...plain.ids];
      expect(state.model.open([...all, 0]).length).toBe(all.length - 1);
    }
  }
});

test("beside others, within the rows of a pass, nothing changes either", async () => {
  const state = schedule({ pages: 128 });
  const next = randomStream(4);
  const asked = Array.from({ length: 8 }, () => {
    const some = Array.from({ length: 6 }, () => Math.floor(next() * 5));
    return { prompt: [...some, ...some, ...some], seed: Math.floor(next() * 100) };
  });
  // Few ids are likely, so that drafts are often right.
  const narrow = (tokens: readonly number[]) =>
    scatter(tokens, COUNT).map((logit, id) => (id < 5 ? logit : -30));
  const wanted: number[][] = [];
  for (const { prompt, seed } of asked) {
    const alone = schedule({ logitsAfter: narrow });
    wanted.push((await answer(alone, prompt, 30, { temperature: 1, seed })).ids);
  }
  const company = schedule({ pages: 128, logitsAfter: narrow });
  const got = await Promise.all(
    asked.map(({ prompt, seed }) => answer(company, prompt, 30, { temperature: 1, seed, lookup: 10 })),
  );
  expect(got.map(({ ids }) => ids)).toEqual(wanted);
  const rows = company.model.passes.map((parts) => parts.reduce((sum, part) => sum + part.length, 0));
  expect(Math.max(...rows)).toBeLessThanOrEqual(16);
  expect(Math.max(...rows)).toBeGreaterThan(8);
  expect(state.scheduler.open).toBe(0);
});

/** Standard deviations that a count of draws may be off by: of sixteen, one in 10^7 is farther. */
const DEVIATIONS = 5.5;

test("what is drawn behind drafts has the distribution of the logits", async () => {
  // Two ids follow any token, whatever came before: with 0.7 and 0.3.
  const logits = new Float32Array(COUNT).fill(-Infinity);
  [logits[3], logits[4]] = [Math.log(0.7), Math.log(0.3)];
  const state = schedule({ logitsAfter: () => logits });
  const counts = new Map<string, number>();
  const runs = 400;
  let drafts = 0;
  for (let seed = 0; seed < runs; seed++) {
    const prompt = [3, 4, 3, 3, 4, 3, 3];
    const { ids, passes } = await answer(state, prompt, 4, { temperature: 1, seed, lookup: 4 });
    drafts += passes.flat().filter((part) => part.length > 1).length;
    const text = ids.join();
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  expect(drafts).toBeGreaterThan(runs);
  for (let n = 0; n < 16; n++) {
    const ids = [8, 4, 2, 1].map((bit) => (n & bit ? 3 : 4));
    const p = ids.reduce((product, id) => product * (id === 3 ? 0.7 : 0.3), 1);
    const off = (counts.get(ids.join()) ?? 0) - runs * p;
    expect(Math.abs(off) / Math.sqrt(runs * p * (1 - p)), ids.join()).toBeLessThan(DEVIATIONS);
  }
});

test("drafts what stood after the last three tokens where they stood last", () => {
  const lookup = new Lookup(4);
  expect(lookup.draft([1, 2, 3, 4, 5, 1, 2, 3, 6, 7, 1, 2, 3], 15)).toEqual([6, 7, 1, 2]);
  expect(lookup.draft([1, 2, 3, 4, 5, 1, 2, 3, 6, 7, 1, 2, 3], 1)).toEqual([6]);
  expect(lookup.draft([1, 2, 3, 4, 5, 1, 2, 3], 0)).toEqual([]);
  expect(lookup.draft([9, 2, 3, 4, 1, 2, 3], 15)).toEqual([]);
  expect(lookup.draft([1, 2, 9, 4, 1, 2, 3], 15)).toEqual([]);
  expect(lookup.draft([5, 5, 5, 5], 15)).toEqual([5]);
  expect(lookup.draft([1, 2], 15)).toEqual([]);
});

test("rests where passes with drafts give fewer tokens for their time, each time for longer", () => {
  const lookup = new Lookup(4);
  for (const rest of [32, 64, 128]) {
    lookup.note(0, 1, 10);
    for (let i = 0; i < 4; i++) {
      expect(lookup.isResting).toBe(false);
      lookup.note(4, 1, 25);
    }
    expect(lookup.draft([1, 2, 3, 4, 1, 2, 3], 15)).toEqual([]);
    for (let i = 0; i < rest; i++) {
      expect(lookup.isResting).toBe(true);
      lookup.note(0, 1, 10);
    }
  }
  for (let i = 0; i < 40; i++) lookup.note(4, 4, 25);
  expect(lookup.isResting).toBe(false);
});
