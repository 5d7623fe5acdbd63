import { describe, expect, test } from "vitest";
import { BusyError, ContextOverflowError, LogitsError } from "../../src/errors.ts";
import type { GenerationResult } from "../../src/generate/answer-stream.ts";
import { CARD_DEFAULTS } from "../../src/generate/defaults.ts";
import { Engine } from "../../src/generate/engine.ts";
import type { GenerationDefaults, GenerationOptions } from "../../src/generate/options.ts";
import type { SchedulerOptions } from "../../src/generate/scheduler.ts";
import { beamOracle } from "../oracle/beams.ts";
import { EOS, format, tokenizer } from "../support/engine.ts";
import { FakeModel, type FakeModelOptions, scatter } from "../support/model.ts";
import { ToyTokenizer } from "../support/tokenizer.ts";

/** Ids up to ASCII's. */
const COUNT = 16 + 128;
/** The engine's ids that end an answer: <human> is one. */
const ENDS = [EOS, 3];
/** Sums of log probabilities that were rounded to float64 in another order. */
const ROUNDING = 9;
const PROMPT = ToyTokenizer.characters("a prompt of three pages.");
/** The letters, one of which an answer has at each place, or the end. */
const ALPHABET = ToyTokenizer.characters("abcdefgh");

/** Logits of letters that look random; those of the end are raised by `lift`. */
function letters(tokens: readonly number[], lift = 0.5): Float32Array {
  const logits = new Float32Array(COUNT).fill(-30);
  const some = scatter(tokens, ALPHABET.length + 1);
  for (const [i, id] of ALPHABET.entries()) logits[id] = some[i]!;
  logits[EOS] = some.at(-1)! + lift;
  return logits;
}

function searching(
  options: Partial<FakeModelOptions> = {},
  more: { scheduling?: SchedulerOptions; defaults?: Partial<GenerationDefaults> } = {},
) {
  const model = new FakeModel({
    tokenCount: COUNT,
    contextLength: 64,
    pages: 40,
    logitsAfter: letters,
    ...options,
  });
  const defaults = { ...CARD_DEFAULTS, ...more.defaults };
  const parts = { model, tokenizer, format, addBos: false, defaults, scheduling: more.scheduling ?? {} };
  return { model, engine: new Engine({ ...parts, eosIds: [EOS] }) };
}

/** Texts and scores of the reference for the same options. */
function wanted(
  options: GenerationOptions,
  logitsAfter = letters as (ids: readonly number[]) => Float32Array,
) {
  const found = beamOracle((ids) => logitsAfter([...PROMPT, ...ids]), {
    width: options.num_beams!,
    penalty: options.length_penalty ?? 1,
    early: options.early_stopping ?? false,
    longest: options.max_tokens!,
    ends: ENDS,
  });
  return found.map(({ ids, score }) => ({
    text: tokenizer.decode(ids),
    score: expect.closeTo(score, ROUNDING),
    finish_reason: ENDS.includes(ids.at(-1)!) ? "stop" : "length",
  }));
}

/** Every page is free, or can be had. */
function expectNothingHeld(model: FakeModel, pages = 40): void {
  const taken = Array.from({ length: pages / 8 }, () => model.open());
  for (const sequence of taken) sequence.reserve(64);
  for (const sequence of taken) sequence.discard();
}

describe("a search", () => {
  test.each([
    { num_beams: 2 },
    { num_beams: 3, length_penalty: 0 },
    { num_beams: 4, length_penalty: 2 },
    { num_beams: 5, early_stopping: true },
    { num_beams: 8, length_penalty: -1 },
    { num_beams: 16 },
  ])("with %j finds what the reference finds, and leaves no page behind", async (options) => {
    for (const max_tokens of [1, 2, 12]) {
      const { engine, model } = searching();
      const asked = { ...options, max_tokens, num_return_sequences: options.num_beams };
      const { text, finish_reason, sequences, usage } = await engine.generate(PROMPT, asked).complete();
      const best = wanted(asked);
      expect(best).toHaveLength(options.num_beams);
      expect(sequences).toEqual(best);
      expect({ text, finish_reason }).toEqual({ text: best[0]!.text, finish_reason: best[0]!.finish_reason });
      expect(usage.prompt_tokens).toBe(PROMPT.length);
      expectNothingHeld(model);
    }
  });

  test("runs the prompt once, then a row for each beam, and keeps what the best begins with", async () => {
    const { engine, model } = searching({ chunk: 10 });
    const told: [number, number][] = [];
    const onPrefill = (done: number, total: number) => void told.push([done, total]);
    const options = { num_beams: 3, max_tokens: 6 };
    const { text, usage } = await engine.generate(PROMPT, { ...options, onPrefill }).complete();
    expect(told).toEqual([
      [10, 24],
      [20, 24],
      [24, 24],
    ]);
    expect(model.passes.slice(0, 3).map((parts) => parts.map((part) => part.length))).toEqual([
      [10],
      [10],
      [4],
    ]);
    const rows = model.passes.slice(3).map((parts) => parts.length);
    expect(rows.length).toBeLessThanOrEqual(5);
    expect(new Set(rows)).toEqual(new Set([3]));
    expect(usage.cached_tokens).toBe(0);
    const next = [...PROMPT, ...ToyTokenizer.characters(text), ALPHABET[0]!];
    const again = await engine.generate(next, { ...options, max_tokens: 1 }).complete();
    expect(again.usage.cached_tokens).toBeGreaterThan(PROMPT.length);
    expect((await engine.generate(PROMPT, options).complete()).text).toBe(text);
  });

  test("leaves no row of the prompt alone, which would run in another kind of pass", async () => {
    const { engine, model } = searching({ chunk: PROMPT.length - 1 });
    await engine.generate(PROMPT, { num_beams: 2, max_tokens: 1 }).complete();
    expect(model.calls.map((part) => part.length)).toEqual([PROMPT.length - 2, 2]);
  });

  test("of more beams than a pass has rows is refused before anything runs", () => {
    const { engine, model } = searching({ chunk: 4 });
    expect(() => engine.generate(PROMPT, { num_beams: 4 })).not.toThrow();
    expect(() => engine.generate(PROMPT, { num_beams: 5 })).toThrow(
      "num_beams is 5, and each beam has a row of a pass, which has 4 of them; ask for at most 4, or load",
    );
    expect(model.passes).toEqual([]);
  });

  test("of one beam is what greedy decoding gives", async () => {
    const { engine } = searching();
    const greedy = await engine.generate(PROMPT, { temperature: 0, max_tokens: 12 }).complete();
    const one = await engine.generate(PROMPT, { temperature: 0, num_beams: 1, max_tokens: 12 }).complete();
    expect(one.text).toBe(greedy.text);
    expect(one).not.toHaveProperty("sequences");
    expect(wanted({ num_beams: 1, max_tokens: 12 })[0]!.text).toBe(greedy.text);
  });

  test("penalises and suppresses by log probability", async () => {
    const suppressed = ALPHABET.slice(0, 3);
    const defaults = { suppress_tokens: new Set(suppressed), repetition_penalty: 1.5 };
    const { engine } = searching({}, { defaults });
    const options = { num_beams: 4, max_tokens: 8, num_return_sequences: 4 };
    const { sequences } = await engine.generate(PROMPT, options).complete();
    // Log probabilities are their own logits but for what they add up to, so the reference is told of each step's sum.
    const steps = (ids: readonly number[]) => {
      const logits = letters([...PROMPT, ...ids]);
      const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
      const seen = new Set([...PROMPT, ...ids]);
      return Array.from(logits, (logit, id) => {
        if (suppressed.includes(id)) return Number.NEGATIVE_INFINITY;
        return (logit - Math.log(total)) * (seen.has(id) ? 1.5 : 1);
      });
    };
    for (const { text, score, finish_reason } of sequences!) {
      const ids = [...ToyTokenizer.characters(text), ...(finish_reason === "stop" ? [EOS] : [])];
      const sum = ids.reduce((all, id, i) => all + steps(ids.slice(0, i))[id]!, 0);
      expect(score).toBeCloseTo(sum / ids.length, ROUNDING);
      expect(text).not.toMatch(/[abc]/);
    }
    expect(new Set(sequences!.map(({ text }) => text)).size).toBe(4);
  });

  test("goes on behind a stop string, and cuts the text there", async () => {
    const { engine } = searching();
    const options = { num_beams: 4, max_tokens: 12, num_return_sequences: 4, length_penalty: 3 };
    const whole = await engine.generate(PROMPT, options).complete();
    const stop = whole.text.slice(2, 4);
    expect(stop).toHaveLength(2);
    const cut = await engine.generate(PROMPT, { ...options, stop }).complete();
    expect(cut.text).toBe(whole.text.slice(0, whole.text.indexOf(stop)));
    expect(cut.finish_reason).toBe("stop");
    expect(cut.sequences!.map(({ score }) => score)).toEqual(whole.sequences!.map(({ score }) => score));
    expect(cut.usage).toEqual({ ...whole.usage, cached_tokens: cut.usage.cached_tokens });
  });
});

describe("an end of a search", () => {
  const slow = { num_beams: 4, max_tokens: 30, length_penalty: 5 };

  test("by a signal gives the best so far, wherever it comes", async () => {
    for (const passes of [0, 1, 2, 3, 6]) {
      const controller = new AbortController();
      let left = passes;
      const { engine, model } = searching({
        chunk: 12,
        logitsAfter: (tokens) => letters(tokens, -20),
        onPass: () => left-- === 0 && controller.abort(),
      });
      const result = await engine.generate(PROMPT, { ...slow, signal: controller.signal }).complete();
      expect(result.finish_reason).toBe("abort");
      expect(result.text).toHaveLength(Math.max(0, passes));
      expect(model.passes).toHaveLength(passes + 1);
      expect(result.sequences ?? []).toHaveLength(passes > 0 ? 1 : 0);
      expectNothingHeld(model);
    }
    const { engine, model } = searching();
    const early = await engine.generate(PROMPT, { ...slow, signal: AbortSignal.abort() }).complete();
    expect(early).toMatchObject({ text: "", finish_reason: "abort", usage: { completion_tokens: 0 } });
    expect(model.passes).toEqual([]);
  });

  test("by a signal in somebody else's pass runs none more", async () => {
    const controller = new AbortController();
    const { engine, model } = searching({
      logitsAfter: (tokens) => letters(tokens, -20),
      onPass: () => {
        const isOther = model.passes.at(-1)!.length === 1;
        if (isOther && model.passes.some((parts) => parts.length === 4)) controller.abort();
      },
    });
    const { signal } = controller;
    const search = engine.generate(PROMPT, { ...slow, signal }).complete();
    const other = engine.generate([ALPHABET[0]!], { temperature: 0, max_tokens: 20 }).complete();
    expect((await search).finish_reason).toBe("abort");
    const searched = model.passes.filter((parts) => parts.length === 4);
    expect((await search).text).toHaveLength(1 + searched.length);
    expect(searched).toHaveLength(1);
    expect((await other).text).toHaveLength(20);
    expectNothingHeld(model);
  });

  test("by a signal before its first pass takes nothing of the cache", async () => {
    const controller = new AbortController();
    const { signal } = controller;
    let search: Promise<GenerationResult> | undefined;
    const { engine, model } = searching({
      onPass: () => {
        search ??= engine.generate(PROMPT, { ...slow, signal }).complete();
        // By then it waits for its turn, and the pass of somebody else is not over.
        void (async () => {
          for (let i = 0; i < 20; i++) await undefined;
          controller.abort();
        })();
      },
    });
    await engine.generate([ALPHABET[0]!], { temperature: 0, max_tokens: 3 }).complete();
    expect(await search).toMatchObject({ text: "", finish_reason: "abort" });
    expect(model.passes.flat().filter((tokens) => tokens.length > 1)).toEqual([]);
    expectNothingHeld(model);
  });

  test("by a reader that leaves", async () => {
    const { engine, model } = searching({ logitsAfter: (tokens) => letters(tokens, -20) });
    const stream = engine.generate(PROMPT, slow);
    const pieces = stream[Symbol.asyncIterator]();
    const first = pieces.next();
    await new Promise((resolve) => setTimeout(resolve, 20));
    await pieces.return!();
    expect((await first).value).toBe((await stream.result).text);
    expect((await stream.result).finish_reason).toBe("abort");
    expect(model.passes.length).toBeLessThan(25);
    expectNothingHeld(model);
  });

  test("by a cache that is full has what it would have by max_tokens", async () => {
    const logitsAfter = (tokens: readonly number[]) => letters(tokens, -20);
    const { engine, model } = searching({ pages: 8, logitsAfter });
    const { text, finish_reason, usage } = await engine.generate(PROMPT, slow).complete();
    expect(usage.completion_tokens).toBe(9);
    expect(finish_reason).toBe("length");
    expect(text).toBe(wanted({ num_beams: 4, max_tokens: 9 }, logitsAfter)[0]!.text);
    expectNothingHeld(model, 8);
  });

  test("by a cache that is full is an error where it has not begun, and takes nothing from anybody", async () => {
    const { engine, model } = searching({ pages: 8, logitsAfter: (tokens) => letters(tokens, -20) });
    const search = engine.generate(PROMPT, { num_beams: 8, max_tokens: 20 }).complete();
    await expect(search).rejects.toThrow(ContextOverflowError);
    await expect(search).rejects.toThrow("no room for 8 beams behind the prompt's 24 tokens;");
    expectNothingHeld(model, 8);
    const { text } = await engine.generate(PROMPT, { num_beams: 2, max_tokens: 6 }).complete();
    expect(text).toBe(wanted({ num_beams: 2, max_tokens: 6 }, (ids) => letters(ids, -20))[0]!.text);
    expectNothingHeld(model, 8);
  });

  test("by a model that fails leaves nothing that others would build on", async () => {
    let left = 6;
    const failing = searching({
      logitsAfter: (tokens) => {
        if (left-- === 0) throw new Error("device gone");
        return letters(tokens);
      },
    });
    await expect(failing.engine.generate(PROMPT, slow).complete()).rejects.toThrow("device gone");
    expectNothingHeld(failing.model);
    expect(failing.model.open(PROMPT).length).toBe(0);
    const broken = searching({ logitsAfter: () => new Float32Array(COUNT).fill(Number.NaN) });
    await expect(broken.engine.generate(PROMPT, slow).complete()).rejects.toThrow(LogitsError);
    expectNothingHeld(broken.model);
  });
});

describe("others meanwhile", () => {
  const greedy = { temperature: 0, max_tokens: 10 };
  const options = { num_beams: 4, max_tokens: 10, length_penalty: 5 };
  const prompts = ["xyz", "a question", "b"].map((text) => ToyTokenizer.characters(text));

  test("have the answers that they have alone, between the passes of the search", async () => {
    const alone = await Promise.all(
      prompts.map(async (prompt) => (await searching().engine.generate(prompt, greedy).complete()).text),
    );
    const { engine, model } = searching();
    const done: string[] = [];
    const search = engine.generate(PROMPT, options).complete();
    const others = prompts.map((prompt) => engine.generate(prompt, { ...greedy, max_tokens: 3 }).complete());
    void search.then(() => done.push("search"));
    for (const other of others) void other.then(() => done.push("other"));
    const texts = (await Promise.all(others)).map(({ text }) => text);
    expect(texts).toEqual(alone.map((text) => text.slice(0, 3)));
    expect((await search).text).toBe(wanted(options)[0]!.text);
    expect(done.at(-1)).toBe("search");
    expectNothingHeld(model);
  });

  test("share a cache that is too small, and lose nothing", async () => {
    const alone = await Promise.all(
      prompts.map(async (prompt) => (await searching().engine.generate(prompt, greedy).complete()).text),
    );
    for (const pages of [8, 9, 10, 12, 14, 16]) {
      const { engine, model } = searching({ pages });
      const others = prompts.map((prompt) => engine.generate(prompt, greedy).complete());
      const search = engine.generate(PROMPT, options).complete();
      expect((await Promise.all(others)).map(({ text }) => text)).toEqual(alone);
      expect((await search).text).toBe(
        (await searching({ pages }).engine.generate(PROMPT, options).complete()).text,
      );
      expectNothingHeld(model, 8);
    }
  });

  test("that search wait for their turn, up to a bound, and may leave before it", {
    timeout: 10_000,
  }, async () => {
    const { engine, model } = searching({}, { scheduling: { parallel: 1, queue: 2 } });
    const controller = new AbortController();
    const { signal } = controller;
    const first = engine.generate(PROMPT, options).complete();
    const second = engine.generate(PROMPT, { ...options, signal }).complete();
    const third = engine.generate(PROMPT, options).complete();
    await expect(engine.generate(PROMPT, options).complete()).rejects.toThrow(BusyError);
    await expect(engine.generate(PROMPT, greedy).complete()).rejects.toThrow(BusyError);
    controller.abort();
    expect(await second).toMatchObject({ text: "", finish_reason: "abort" });
    const most = Math.max(...model.passes.map((parts) => parts.length));
    expect(most).toBeLessThanOrEqual(4);
    const { text } = wanted(options)[0]!;
    expect([(await first).text, (await third).text]).toEqual([text, text]);
    expect(Math.max(...model.passes.map((parts) => parts.length))).toBe(4);
    expectNothingHeld(model);
  });
});
