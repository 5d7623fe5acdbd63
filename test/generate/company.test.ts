import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { type Engine, type LlamaModel, load } from "../../node/index.ts";
import type { GenerationOptions } from "../../src/generate/options.ts";
import type { Message } from "../../src/generate/template.ts";
import { testDeviceOptions } from "../support/gpu.ts";
import { randomStream } from "../support/random.ts";

const QUESTIONS = [
  "你好,你是谁?",
  "What is 12 plus 7?",
  "重复:苹果 香蕉 西瓜",
  "请用英文说:我喜欢喝茶。",
  "Translate to Chinese: The weather is good today.",
  "一年有几个季节?",
  "What is the capital of France?",
  "写一句关于春天的话。",
];

/** Conversations of one to three turns; those of several have a system message in common. */
function conversations(seed: number): Message[][] {
  const next = randomStream(seed);
  const one = () => QUESTIONS[Math.floor(next() * QUESTIONS.length)]!;
  return Array.from({ length: 8 }, () => {
    const turns = Math.floor(next() * 3);
    const before = Array.from({ length: turns }, (): Message[] => [
      { role: "user", content: one() },
      { role: "assistant", content: one() },
    ]);
    return [...before.flat(), { role: "user", content: one() }];
  });
}

describe.each(["q4", "f16"] as const)("the embedded model as %s, eight conversations at once", (weights) => {
  let engine: Engine<LlamaModel>;
  beforeAll(async () => {
    engine = await load({ weights, context: 512, ...testDeviceOptions() });
  });
  afterAll(() => engine.destroy());

  const answer = (messages: readonly Message[], options: GenerationOptions) =>
    engine.chat(messages, { max_tokens: 24, ...options }).complete();

  function empty(): void {
    const sequence = engine.model.open();
    sequence.reserve(engine.model.contextLength);
    sequence.discard();
  }

  it.skipIf(weights !== "q4").each([
    ["greedy", { temperature: 0 }],
    ["sampled", { temperature: 1.5, seed: 4 }],
    ["with a penalty below 1", { temperature: 1, seed: 4, repetition_penalty: 0.95 }],
  ] as [string, GenerationOptions][])(
    "%s, has the answer with drafts that it has without",
    async (_, options) => {
      const asked = ["重复:苹果 香蕉 西瓜 苹果 香蕉 西瓜", "Repeat: one two three one two three one two"];
      for (const content of asked) {
        const messages: Message[] = [{ role: "user", content }];
        empty();
        const wanted = await answer(messages, options);
        empty();
        const run = vi.spyOn(engine.model, "run");
        const drafted = await answer(messages, { ...options, prompt_lookup_num_tokens: 8 });
        expect(run.mock.calls.some(([parts]) => parts.some(({ drawn }) => drawn > 1))).toBe(true);
        run.mockRestore();
        expect(drafted.text).toBe(wanted.text);
      }
    },
  );

  it("one that others join and leave goes on with its own tokens", async () => {
    // So hot that it hardly ever ends.
    const options = { temperature: 60, top_k: 64, top_p: 1, seed: 9, max_tokens: 40 };
    const asked: Message[] = [{ role: "user", content: QUESTIONS[4]! }];
    empty();
    const wanted = (await answer(asked, options)).text;
    empty();
    const stream = engine.chat(asked, options);
    let pieces = 0;
    let other: Promise<unknown> = Promise.resolve();
    for await (const _ of stream) {
      if (++pieces % 8 !== 4) continue;
      other = other.then(() => answer(conversations(pieces)[0]!, { temperature: 0, max_tokens: 3 }));
    }
    await other;
    expect((await stream.result).text).toBe(wanted);
    expect(pieces).toBeGreaterThan(12);
  });

  // Halves run by the same loop, and take longer here.
  it.each([
    ["greedy", { temperature: 0 }],
    ...(weights === "q4"
      ? [
          ["sampled", { temperature: 2, seed: 5 }],
          ["with a penalty", { temperature: 0, repetition_penalty: 1.2 }],
        ]
      : []),
  ] as [string, GenerationOptions][])("%s, have the answers that they have alone", async (_, options) => {
    const asked = conversations(3);
    const alone: string[] = [];
    for (const messages of asked) {
      empty();
      alone.push((await answer(messages, options)).text);
    }
    empty();
    const together = await Promise.all(asked.map((messages) => answer(messages, options)));
    expect(together.map(({ text }) => text)).toEqual(alone);
    expect(new Set(alone).size).toBeGreaterThan(4);
  });
});
