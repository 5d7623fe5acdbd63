import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Engine, embeddedModel, type LlamaModel, load, type Message } from "../../node/index.ts";
import { testDeviceOptions } from "../support/gpu.ts";

/** What PyTorch says to a prompt, in f32 arithmetic over the checkpoint's f16 weights. */
interface Golden {
  readonly messages: readonly Message[];
  readonly prompt_ids: readonly number[];
  readonly answer_ids: readonly number[];
  readonly answer: string;
  /** Somewhere along the answer the two best logits are so close that another order of sums may swap them. */
  readonly near_tie?: boolean;
}

const golden = JSON.parse(await readFile(join(embeddedModel, "golden.json"), "utf8")) as Golden[];
const EOS = 2;
/** Answers of a model whose cache is rounded: as many as take a few seconds. */
const SOME = 5;

describe("the embedded model", () => {
  let engine: Engine<LlamaModel>;
  beforeAll(async () => {
    engine = await load({ weights: "f16", cache: "f32", ...testDeviceOptions() });
  });
  afterAll(() => engine.destroy());

  it("comes with golden answers, some in Chinese and some over several turns", () => {
    expect(golden.filter(({ near_tie }) => !near_tie).length).toBeGreaterThanOrEqual(8);
    expect(golden.some(({ messages }) => messages.length > 1)).toBe(true);
    expect(golden.some(({ answer }) => /\p{Script=Han}/u.test(answer))).toBe(true);
  });

  it.each(golden.map((g) => [g.messages.at(-1)!.content, g] as const))("takes %s as in training", (_, g) => {
    expect(engine.encodeChat(g.messages)).toEqual(g.prompt_ids);
  });

  it.each(golden.filter((g) => !g.near_tie).map((g) => [g.messages.at(-1)!.content, g] as const))(
    "answers %s as PyTorch does",
    async (_, g) => {
      const options = { temperature: 0, max_tokens: g.answer_ids.length };
      const { text, finish_reason } = await engine.chat(g.messages, options).complete();
      expect(text).toBe(g.answer);
      expect(finish_reason).toBe(g.answer_ids.at(-1) === EOS ? "stop" : "length");
    },
  );

  it.each(["q8", "q4"] as const)("answers as PyTorch does over a KV cache in %s", async (cache) => {
    const rounded = await load({ weights: "f16", cache, decode: "f32 4x2", ...testDeviceOptions() });
    for (const { messages, answer, answer_ids } of golden
      .filter(({ near_tie }) => !near_tie)
      .slice(0, SOME)) {
      const options = { temperature: 0, max_tokens: answer_ids.length };
      expect((await rounded.chat(messages, options).complete()).text).toBe(answer);
    }
    rounded.destroy();
  });

  // The cache had two owners: what the model was used for beside made the next answer empty.
  it("answers the same after calibrating and scoring on its model, with what it had cached", async () => {
    const { messages, answer, prompt_ids } = golden.find(({ near_tie }) => !near_tie)!;
    await engine.chat(messages, { temperature: 0 }).complete();
    await engine.model.calibrate([[1, 50, 60, 70]]);
    for await (const _ of engine.model.logits([1, 80, 90]));
    const { text, usage } = await engine.chat(messages, { temperature: 0, max_tokens: 64 }).complete();
    expect(text).toBe(answer);
    expect(usage.cached_tokens).toBe(prompt_ids.length - 1);
  });
});
