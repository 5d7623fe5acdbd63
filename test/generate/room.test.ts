import { describe, expect, test } from "vitest";
import { ContextOverflowError } from "../../src/errors.ts";
import { CARD_DEFAULTS } from "../../src/generate/defaults.ts";
import { Engine } from "../../src/generate/engine.ts";
import { answering, EOS, format, tokenizer, user } from "../support/engine.ts";
import { fakeSnapshots, runAheadOf } from "../support/model.ts";

/** Longer than a page, so that it takes more than its prompt did. */
const REPLY = "a rather long answer of more than one page";
const GREEDY = { temperature: 0 };
const CONTEXT = 64;
const IDS = Array.from({ length: 60 }, (_, i) => 20 + (i % 9));

/** An engine whose cache has `pages` pages of eight positions, with snapshots. */
function crowded(pages: number) {
  const { model } = answering(REPLY, { contextLength: CONTEXT, pages });
  const parts = { model, tokenizer, format, addBos: true, defaults: CARD_DEFAULTS, eosIds: [EOS] };
  const engine = new Engine({ ...parts, snapshots: fakeSnapshots() });
  return { model, engine };
}

/** An answer that has said so many pieces, and what it says in the end. */
async function begun(engine: Engine, question: string, pieces = 1) {
  const stream = engine.chat([user(question)], GREEDY)[Symbol.asyncIterator]();
  let text = "";
  for (let i = 0; i < pieces; i++) text += (await stream.next()).value;
  return async () => {
    for (;;) {
      const { value, done } = await stream.next();
      if (done) return text;
      text += value;
    }
  };
}

/** An engine that searches, with half of its cache and soon more. */
async function searched() {
  const { engine, model } = crowded(8);
  const options = { num_beams: 2, max_tokens: 20, length_penalty: 5 };
  const found = engine.generate(IDS.slice(0, 24), options).complete();
  while (model.passes.length < 4) await new Promise((resolve) => setTimeout(resolve));
  let searching = true;
  void found.then(() => {
    searching = false;
  });
  return { engine, found, isSearching: () => searching };
}

/** Of rows of logits that leave no doubt, the ids, which tell the place. */
async function idsOf(rows: AsyncIterable<Float32Array>): Promise<number[]> {
  const ids: number[] = [];
  for await (const row of rows) {
    ids.push(row.indexOf(20));
  }
  return ids;
}

test("answers that run ahead together give way to one another where the cache has no room for all", async () => {
  // Twelve pages of eight positions for three of seven.
  const { engine, model } = crowded(12);
  const ahead = runAheadOf(model);
  const questions = ["one", "two", "six"].map((question) => [user(question)]);
  const results = await Promise.all(questions.map((asked) => engine.chat(asked, GREEDY).complete()));
  expect(results.map(({ text }) => text)).toEqual([REPLY, REPLY, REPLY]);
  expect(ahead.passes).toBeGreaterThan(20);
});

describe("beside answers that fill the cache", () => {
  /** What needs room for 60 positions, and what comes of it. */
  const kinds: [string, (engine: Engine) => Promise<unknown>][] = [
    ["logits", (engine) => idsOf(engine.logits(IDS))],
    ["a calibration", (engine) => engine.calibrate([IDS.slice(0, 9), IDS])],
    [
      "a conversation that is restored",
      async (engine) => {
        const elsewhere = crowded(8).engine.conversation();
        await elsewhere.say("hello", GREEDY).complete();
        return (await engine.restore(await elsewhere.save())).messages;
      },
    ],
  ];

  test.each(kinds)("%s has what it has alone, and they go on with the same tokens", async (_, work) => {
    const alone = await work(crowded(12).engine);
    const { engine } = crowded(12);
    const answers = await Promise.all(["one", "two"].map((question) => begun(engine, question, 34)));
    const texts = answers.map((rest) => rest());
    expect(await work(engine)).toEqual(alone);
    expect(await Promise.all(texts)).toEqual([REPLY, REPLY]);
  });

  test("a wait for room ends with its signal", async () => {
    const { engine, isSearching } = await searched();
    const controller = new AbortController();
    const waiting = engine.calibrate([IDS], { signal: controller.signal });
    controller.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
    expect(isSearching()).toBe(true);
  });

  test.each(kinds)("%s waits for a search to end", async (_, work) => {
    const alone = await work(crowded(8).engine);
    const { engine, isSearching, found } = await searched();
    expect(await work(engine)).toEqual(alone);
    expect(isSearching()).toBe(false);
    expect((await found).usage.completion_tokens).toBe(20);
  });

  test("more than the context holds is refused, and nobody is waited for", async () => {
    const { engine, isSearching } = await searched();
    const long = Array.from({ length: CONTEXT + 1 }, () => 20);
    await expect(engine.calibrate([long])).rejects.toThrow(ContextOverflowError);
    await expect(idsOf(engine.logits(long))).rejects.toThrow("the context holds 64");
    expect(isSearching()).toBe(true);
  });
});

describe("a reader of logits that stays away", () => {
  const next = async (reader: AsyncGenerator<Float32Array>) =>
    ((await reader.next()).value as Float32Array).indexOf(20);

  test("keeps nobody waiting, and reads on where it was", { timeout: 10_000 }, async () => {
    const { engine, model } = crowded(8);
    const whole = await idsOf(crowded(8).engine.logits(IDS));
    const reader = engine.logits(IDS);
    const read = [await next(reader), await next(reader)];
    expect((await engine.chat([user("hi")], GREEDY).complete()).text).toBe(REPLY);
    // Another reader has the room next, and then the first one again.
    expect(await idsOf(engine.logits(IDS))).toEqual(whole);
    expect([...read, ...(await idsOf(reader))]).toEqual(whole);
    expect(model.scored).toBe(IDS.length * 2 + 2);
  });

  test("gives way to a search at once, and to an answer that needs its next page", {
    timeout: 10_000,
  }, async () => {
    const { engine } = crowded(10);
    const ids = IDS.slice(0, 50);
    const search = { num_beams: 2, max_tokens: 8 };
    const alone = await crowded(10).engine.generate(IDS, search).complete();
    const rest = await begun(engine, "hi");
    const reader = engine.logits(ids);
    const read = [await next(reader)];
    expect(await rest()).toBe(REPLY);
    read.push(await next(reader));
    const found = await engine.generate(IDS, search).complete();
    expect([found.text, found.finish_reason]).toEqual([alone.text, alone.finish_reason]);
    expect([...read, ...(await idsOf(reader))]).toEqual(await idsOf(crowded(8).engine.logits(ids)));
  });

  test("gives way to another reader before an answer does", { timeout: 10_000 }, async () => {
    // Eight pages for each reader, and what the answer has, whose tokens run once.
    const { engine, model } = crowded(14);
    const reader = engine.logits(IDS);
    const read = [await next(reader)];
    const rest = await begun(engine, "hi", 34);
    await new Promise((resolve) => setTimeout(resolve, 1100));
    const before = model.passes.flat(2).length;
    const whole = await idsOf(engine.logits(IDS));
    expect(await rest()).toBe(REPLY);
    // Put back, it would run its prompt and what it has said again.
    expect(model.passes.flat(2).length - before).toBeLessThan(REPLY.length);
    expect([...read, ...(await idsOf(reader))]).toEqual(whole);
  });

  test("that leaves gives its room back", async () => {
    const { engine, model } = crowded(8);
    for await (const _ of engine.logits(IDS)) break;
    const everything = model.open();
    everything.reserve(CONTEXT);
    everything.discard();
  });
});
