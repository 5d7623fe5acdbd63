import { describe, expect, test } from "vitest";
import { GenerationStream, type Job } from "../../src/generate/answer.ts";
import type { FinishReason } from "../../src/generate/answer-stream.ts";
import { Recovery } from "../../src/generate/recovery.ts";
import { makeSampler, type Sampler } from "../../src/generate/sampler.ts";
import { Scheduler } from "../../src/generate/scheduler.ts";
import { FakeModel, scatter } from "../support/model.ts";

const COUNT = 50;
const SAMPLING = { temperature: 1, top_k: 10, top_p: 0.9, min_p: 0, repetition_penalty: 1, seed: 3 };
const sampler = () => makeSampler(SAMPLING);
const greedy = () => makeSampler({ ...SAMPLING, temperature: 0 });
const model = (options = {}) => new FakeModel({ tokenCount: COUNT, ...options });

/** An answer whose text is its ids: those that are no stop id, each followed by a comma. */
async function run(
  fake: FakeModel,
  sample: Sampler,
  prompt: readonly number[],
  limits: Partial<Job> = {},
): Promise<{ ids: number[]; reason: FinishReason; count: number; cached: number }> {
  const answer = new GenerationStream({
    scheduler: new Scheduler(new Recovery({ model: fake })),
    sampler: sample,
    prompt,
    maxTokens: 12,
    stopIds: new Set(),
    decoder: () => ({ push: (id) => `${id},`, end: () => "" }),
    stop: [],
    hidden: new Map(),
    seed: 0,
    signal: undefined,
    ...limits,
  });
  const { text, finish_reason: reason, usage } = await answer.complete();
  const ids = text.split(",").slice(0, -1).map(Number);
  return { ids, reason, count: usage.completion_tokens, cached: usage.cached_tokens };
}

/** The same answer without a cache: every token from all the tokens before it. */
function reference(sample: Sampler, prompt: readonly number[], count: number): number[] {
  const tokens = [...prompt];
  for (let i = 0; i < count; i++) {
    const logits = scatter(tokens, COUNT);
    tokens.push(sample.sample({ ids: Uint32Array.from(logits, (_, id) => id), logits }, new Set(tokens)));
  }
  return tokens.slice(prompt.length);
}

describe("an answer", () => {
  test("samples each token from all the tokens before it", async () => {
    for (const make of [sampler, greedy, () => makeSampler({ ...SAMPLING, repetition_penalty: 1.3 })]) {
      const { ids, reason } = await run(model(), make(), [1, 2, 3, 4, 5, 6]);
      expect(ids).toEqual(reference(make(), [1, 2, 3, 4, 5, 6], 12));
      expect(reason).toBe("length");
    }
  });

  test("ends with a stop id, which it counts and does not put into the cache", async () => {
    const wanted = reference(greedy(), [1, 2], 12);
    const fake = model();
    const { ids, reason, count } = await run(fake, greedy(), [1, 2], {
      stopIds: new Set([wanted[4]!]),
    });
    const end = wanted.indexOf(wanted[4]!);
    expect(ids).toEqual(wanted.slice(0, end));
    expect(reason).toBe("stop");
    expect(count).toBe(end + 1);
    const { cached } = await run(fake, greedy(), [1, 2, ...ids, wanted[end]!, 9], { maxTokens: 1 });
    expect(cached).toBe(2 + end);
  });

  test("runs one pass per token after the prompt, and none for the last", async () => {
    const fake = model();
    const { ids } = await run(fake, greedy(), [7, 8, 9], { maxTokens: 3 });
    expect(fake.calls).toEqual([[7, 8, 9], [ids[0]], [ids[1]]]);
  });

  test("aborts before the prompt, between its chunks, and between tokens", async () => {
    for (const passes of [0, 1, 2, 3, 4, 5]) {
      const controller = new AbortController();
      let left = passes;
      const fake = model({ chunk: 2, onPass: () => left-- === 0 && controller.abort() });
      const prompt = [1, 2, 3, 4, 5];
      const { ids, reason } = await run(fake, greedy(), prompt, { signal: controller.signal });
      expect(reason).toBe("abort");
      expect(ids).toHaveLength(Math.max(0, passes - 2));
      // What ran is in the cache: the pass that was under way too, but for a token that nobody took.
      expect((await run(fake, greedy(), [...prompt, ...ids, 0], { maxTokens: 1 })).cached).toBe(
        [2, 3, 5, 5, 6, 7][passes],
      );
      expect((await run(fake, greedy(), prompt)).ids).toEqual(reference(greedy(), prompt, 12));
    }
  });

  test("tells how far the prompt is, without what is cached and nothing of the tokens after it", async () => {
    const fake = model({ chunk: 4 });
    const told: [number, number][] = [];
    const onPrefill = (done: number, total: number) => void told.push([done, total]);
    await run(fake, greedy(), [1, 2, 3, 4, 5, 6, 7, 8, 9], { onPrefill });
    expect(told).toEqual([
      [4, 9],
      [7, 9],
      [9, 9],
    ]);
    told.length = 0;
    await run(fake, greedy(), [1, 2, 3, 4, 5, 6, 30, 31], { onPrefill });
    expect(told).toEqual([[2, 2]]);
  });

  test("throws what the model throws", async () => {
    const broken = model({
      logitsAfter: () => {
        throw new Error("device gone");
      },
    });
    await expect(run(broken, greedy(), [1])).rejects.toThrow("device gone");
  });
});

describe("the cache", () => {
  test("gives a prompt the longest common beginning, and still the same tokens", async () => {
    const fake = model();
    const prompts = [[1, 2, 3], [1, 2, 3], [1, 2, 4, 5, 6, 7], [1, 2], [9], [1, 2, 4]];
    for (const prompt of prompts) {
      const { ids } = await run(fake, greedy(), prompt, { maxTokens: 5 });
      expect(ids).toEqual(reference(greedy(), prompt, 5));
    }
    const { ids } = await run(fake, greedy(), [1, 2], { maxTokens: 5 });
    const [at] = [fake.calls.length];
    await run(fake, greedy(), [1, 2, ...ids, 3], { maxTokens: 1 });
    // All but the last of the answer ran already.
    expect(fake.calls[at]).toEqual([ids[4], 3]);
  });
});
