import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { openModel } from "../../node/index.ts";
import { CheckpointError, DeviceError, DeviceLostError } from "../../src/errors.ts";
import { type Engine, loadEngine, type OpenFile } from "../../src/index.ts";
import { LosingHost } from "../support/devices.ts";
import { testDeviceOptions } from "../support/gpu.ts";

const QUESTIONS = ["重复:苹果 香蕉 西瓜", "Reverse this: one two three", "3+4"];
const OPTIONS = { ...testDeviceOptions(), context: 96, cacheTokens: 512, chunk: 16, check: false };
const KINDS = {
  greedy: { temperature: 0, max_tokens: 12 },
  seeded: { temperature: 1, seed: 7, max_tokens: 12 },
  "of a beam search": { num_beams: 2, max_tokens: 6 },
} as const;

const losing = new LosingHost();
/** Whether the weights' file has other bytes than it had. */
let isOther = false;
/** The embedded model. */
const open: OpenFile = async (name, signal) => {
  const file = await openModel()(name, signal);
  if (!file || name !== "model.safetensors") return file;
  const read: typeof file.read = async (offset, length) => {
    const bytes = new Uint8Array(await file.read(offset, length));
    // Behind the header, of every number the last bit.
    const isWeights = isOther && offset > 100_000;
    return isWeights ? bytes.map((byte, i) => (i % 2 === 0 ? byte ^ 1 : byte)) : bytes;
  };
  return { name: file.name, size: file.size, read };
};
const told: Error[] = [];
let engine: Engine;
/** Submits of a load. */
let loading: number;

beforeAll(async () => {
  const onDeviceLost = (error: Error) => void told.push(error);
  engine = await loadEngine(losing.host, open, { ...OPTIONS, onDeviceLost });
  loading = losing.latest.submits;
});
afterAll(() => {
  engine?.destroy();
  losing.end();
});
beforeEach(() => {
  losing.onSubmit = () => {};
});

const ask = (content: string, kind: keyof typeof KINDS) =>
  engine.chat([{ role: "user", content }], KINDS[kind]).complete();

/** Loses the device in its `submit`-th submit from now on, or one opened later in that after its load. */
function loseIn(
  submits: readonly number[],
  lose = (which: number): void => void losing.devices[which]!.device.destroy(),
) {
  const first = losing.devices.length - 1;
  const before = losing.latest.submits;
  losing.onSubmit = (which, submit) => {
    const from = which === first ? before : loading;
    if (submit === from + (submits[which - first] ?? Number.POSITIVE_INFINITY)) lose(which);
  };
  return { opened: () => losing.devices.length - 1 - first };
}

describe("an answer whose device is destroyed by others", () => {
  test.each([
    ["greedy", [9]],
    ["seeded", [9, 4]],
    ["of a beam search", [6]],
  ] as const)("has the tokens that it has undisturbed, in the same stream: %s", async (kind, submits) => {
    const whole = await ask(QUESTIONS[0]!, kind);
    const { opened } = loseIn(submits);
    const { text, usage } = await ask(QUESTIONS[0]!, kind);
    expect(text).toBe(whole.text);
    expect(usage.completion_tokens).toBe(whole.usage.completion_tokens);
    expect(opened()).toBe(submits.length);
    expect(told.at(-1)!.message).toMatch(/^The GPU device of .* was lost \(/);
    for (const { live } of losing.devices.slice(0, -1)) expect(live.size).toBe(0);
  });

  test("has them beside others, and leaves no buffer and no page in use", async () => {
    const kinds = ["greedy", "seeded", "of a beam search"] as const;
    const askAll = () => Promise.all(QUESTIONS.map((question, i) => ask(question, kinds[i]!)));
    const whole = await askAll();
    const buffers = losing.latest.live.size;
    const { opened } = loseIn([12]);
    const texts = (results: typeof whole) => results.map(({ text }) => text);
    expect(texts(await askAll())).toEqual(texts(whole));
    expect(opened()).toBe(1);
    expect(losing.latest.live.size).toBe(buffers);
    for (const { live } of losing.devices.slice(0, -1)) expect(live.size).toBe(0);
    const everything = engine.model.open();
    everything.reserve(OPTIONS.context);
    everything.discard();
  });

  test("goes on when there is no adapter for a while, and a conversation that was idle meanwhile too", async () => {
    const talk = engine.conversation();
    await talk.say(QUESTIONS[0]!, KINDS.greedy).complete();
    const whole = await engine
      .chat([...talk.messages, { role: "user", content: "3+4" }], KINDS.greedy)
      .complete();
    losing.latest.device.destroy();
    await losing.latest.device.lost;
    // Each try asks for three kinds of adapters.
    losing.absent = 6;
    expect((await talk.say("3+4", KINDS.greedy).complete()).text).toBe(whole.text);
    expect(losing.absent).toBe(0);
  });

  test("counts tokens that the model drew by itself: it goes on as often as one comes in between", async () => {
    const whole = await ask(QUESTIONS[0]!, "greedy");
    const { opened } = loseIn([]);
    let pieces = 0;
    let text = "";
    for await (const piece of engine.chat([{ role: "user", content: QUESTIONS[0]! }], KINDS.greedy)) {
      text += piece;
      if (++pieces % 2 === 0) losing.latest.device.destroy();
    }
    expect(text).toBe(whole.text);
    expect(opened()).toBeGreaterThanOrEqual(3);
  });

  test("ends where the weights that are read again are others, until they are there again", async () => {
    const whole = await ask(QUESTIONS[0]!, "greedy");
    loseIn([9]);
    isOther = true;
    const failing = ask(QUESTIONS[0]!, "greedy");
    await expect(failing).rejects.toThrow(CheckpointError);
    await expect(failing).rejects.toThrow("the weights that were read again are others than before");
    expect(losing.latest.live.size).toBe(0);
    isOther = false;
    expect((await ask(QUESTIONS[0]!, "greedy")).text).toBe(whole.text);
  });

  test("ends when three are lost in a row, with the text so far, and the next one is answered", async () => {
    const whole = await ask(QUESTIONS[0]!, "greedy");
    const { opened } = loseIn([8, 1, 1]);
    let text = "";
    const failing = (async () => {
      const asked = [{ role: "user", content: QUESTIONS[0]! }] as const;
      for await (const piece of engine.chat(asked, KINDS.greedy)) text += piece;
    })();
    await expect(failing).rejects.toThrow(DeviceLostError);
    await expect(failing).rejects.toThrow("lost 3 times without a token in between");
    expect(opened()).toBe(2);
    expect(text).not.toBe("");
    expect(whole.text.startsWith(text)).toBe(true);
    expect((await ask(QUESTIONS[0]!, "greedy")).text).toBe(whole.text);
  });

  test("is an error with need and have when memory runs out twice, and goes on when it did once", async () => {
    const whole = await ask(QUESTIONS[0]!, "seeded");
    const runOut = (which: number) => losing.devices[which]!.lose("VK_ERROR_OUT_OF_DEVICE_MEMORY");
    const twice = loseIn([5, 1], runOut);
    const failing = ask(QUESTIONS[0]!, "seeded");
    await expect(failing).rejects.toThrow(DeviceError);
    await expect(failing).rejects.toThrow(
      /ran out again .* needs \d+\.\d+ MB of buffers\. The memory of .* ran out \(VK_ERROR_OUT_OF_DEVICE_MEMORY\): \d+ bytes/,
    );
    expect(twice.opened()).toBe(1);
    const once = loseIn([]);
    expect((await ask(QUESTIONS[0]!, "seeded")).text).toBe(whole.text);
    expect(once.opened()).toBe(1);
  });

  test("is not opened again for an engine that was destroyed", async () => {
    const { opened } = loseIn([]);
    const stream = engine.chat([{ role: "user", content: QUESTIONS[0]! }], KINDS.greedy);
    const pieces = stream[Symbol.asyncIterator]();
    await pieces.next();
    engine.destroy();
    const rest = async () => {
      while (!(await pieces.next()).done);
    };
    await expect(rest()).rejects.toThrow("was released");
    expect(opened()).toBe(0);
    expect(losing.latest.live.size).toBe(0);
  });
});
