import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type Engine, type GenerationOptions, type LlamaModel, load } from "../../node/index.ts";
import { BusyError } from "../../src/errors.ts";
import type { GenerationResult } from "../../src/generate/answer-stream.ts";
import { aheadOf } from "../support/ahead.ts";
import { testDeviceOptions } from "../support/gpu.ts";

/** The longest prompt and answer together: four pages. */
const CONTEXT = 128;
/** At which a small model that knows its answers well says something else for every seed. */
const HOT = 6;
const QUESTIONS = ["你好,你是谁?", "What is 12 plus 7?", "重复:苹果 香蕉 西瓜"];

interface Heard extends Pick<GenerationResult, "text" | "finish_reason" | "usage"> {
  readonly pieces: readonly string[];
}

describe("the embedded model, its passes ahead of what is read", () => {
  let engine: Engine<LlamaModel>;
  beforeAll(async () => {
    engine = await load({ weights: "q4", context: CONTEXT, ...testDeviceOptions() });
  });
  afterAll(() => engine.destroy());

  /** Asks one question after the other, each in the cache that the last one left; `left` pieces are read, then it is left. */
  async function hear(
    prompts: readonly (string | readonly number[])[],
    options: GenerationOptions,
    { left = Infinity, by = "break" }: { left?: number; by?: "break" | "signal" } = {},
  ): Promise<Heard[]> {
    const heard: Heard[] = [];
    for (const prompt of prompts) {
      const controller = new AbortController();
      const asked = { ...options, signal: controller.signal };
      const stream =
        typeof prompt === "string"
          ? engine.chat([{ role: "user", content: prompt }], asked)
          : engine.generate(prompt, asked);
      const pieces: string[] = [];
      for await (const piece of stream) {
        pieces.push(piece);
        if (pieces.length < left) continue;
        if (by === "break") break;
        controller.abort();
      }
      const { text, finish_reason, usage } = await stream.result;
      heard.push({ pieces, text, finish_reason, usage });
    }
    return heard;
  }

  /** The same with every pass awaited before the next, from an empty cache each. */
  async function both(...asked: Parameters<typeof hear>): Promise<[ahead: Heard[], awaited: Heard[]]> {
    const { model } = engine;
    await empty();
    const runs = vi.spyOn(model, "ahead");
    const ahead = await hear(...asked);
    // The first token comes out of the prompt's pass.
    if (ahead.some(({ usage }) => usage.completion_tokens > 1)) expect(runs).toHaveBeenCalled();
    runs.mockRestore();
    await empty();
    Object.defineProperty(model, "ahead", { value: undefined, configurable: true });
    try {
      return [ahead, await hear(...asked)];
    } finally {
      Reflect.deleteProperty(model, "ahead");
    }
  }

  /** Leaves nothing in the cache that a prompt begins with. */
  async function empty(): Promise<void> {
    const { model } = engine;
    const sequence = model.open();
    sequence.reserve(model.contextLength);
    sequence.discard();
    expect(model.open([1, 2, 3]).length).toBe(0);
  }

  const CASES: [string, GenerationOptions][] = [
    ["whole", {}],
    ["of one token", { max_tokens: 1 }],
    ["of two tokens", { max_tokens: 2 }],
    ["of seven tokens", { max_tokens: 7 }],
    ["with penalties", { repetition_penalty: 1.5, max_tokens: 30 }],
    ["up to a stop string of a letter", { stop: ["i", "我", "果"] }],
    ["up to a stop string over several tokens", { stop: [" is 1", "是Zi", "苹果 香"] }],
  ];
  it.each(CASES)("greedy answers %s are those of one pass after the other", async (_, options) => {
    const [ahead, awaited] = await both([...QUESTIONS, QUESTIONS[0]!], { temperature: 0, ...options });
    expect(ahead).toEqual(awaited);
    expect(ahead.at(-1)!.usage.cached_tokens).toBeGreaterThan(0);
    expect(ahead.every(({ usage }) => usage.completion_tokens > 0)).toBe(true);
  });

  it.each([
    ["the card's settings", { temperature: 1 }],
    ["every candidate", { top_k: 64, top_p: 1 }],
    ["min_p", { min_p: 0.02, top_p: 1 }],
    ["a stop string", { stop: ["i", "是", "果"] }],
    ["one token", { max_tokens: 1 }],
    ["penalties", { repetition_penalty: 1.2 }],
    ["rewards", { repetition_penalty: 0.8, top_k: 5 }],
  ] as [string, GenerationOptions][])(
    "sampled answers with %s are those of one pass after the other",
    async (_, options) => {
      const texts = new Set<string>();
      for (const seed of [1, 2 ** 40 + 77]) {
        const [ahead, awaited] = await both([QUESTIONS[0]!, QUESTIONS[0]!], {
          temperature: HOT,
          max_tokens: 12,
          seed,
          ...options,
        });
        expect(ahead).toEqual(awaited);
        texts.add(ahead[0]!.text);
      }
      if (options.temperature !== 1 && options.max_tokens !== 1) expect(texts.size).toBe(2);
    },
  );

  it("a context that fills up ends it at the same token, as deep and as many at once as was asked for", async () => {
    const roomy = engine;
    const prompt = roomy.encodeChat([{ role: "user", content: QUESTIONS[0]! }]).length;
    for (const room of [1, 6]) {
      const few = { depth: 1, parallel: 1, queue: 0 };
      engine = await load({ weights: "q4", context: prompt + room, ...few, ...testDeviceOptions() });
      try {
        const [ahead, awaited] = await both([QUESTIONS[0]!], { temperature: 0 });
        expect(ahead).toEqual(awaited);
        expect(ahead[0]).toMatchObject({ finish_reason: "length", usage: { completion_tokens: room } });
        if (room === 1) continue;
        const { model } = engine;
        const submit = vi.spyOn(model.gpu.device.queue, "submit");
        const sequence = model.open();
        const run = await aheadOf(model, sequence, 5, room);
        await run.next();
        expect(submit).toHaveBeenCalledTimes(1);
        await run.end();
        sequence.discard();
        const reading = engine.chat([{ role: "user", content: QUESTIONS[0]! }])[Symbol.asyncIterator]();
        await reading.next();
        await expect(hear(["one too many"], {})).rejects.toThrow(BusyError);
        await reading.return!();
      } finally {
        engine.destroy();
        engine = roomy;
      }
    }
  });

  it.each(["break", "signal"] as const)("%s after each of the first pieces leaves the same", async (by) => {
    for (let left = 1; left <= 6; left++) {
      // Asked again, it has in the cache what ran before it was left.
      const [ahead, awaited] = await both([QUESTIONS[0]!, QUESTIONS[0]!], { temperature: 0 }, { left, by });
      expect(ahead).toEqual(awaited);
      expect(ahead[0]).toMatchObject({ finish_reason: "abort", pieces: { length: left } });
    }
  });
});
