import { describe, expect, test } from "vitest";
import { bytesSource } from "../../src/checkpoint/source.ts";
import { ContextOverflowError, ConversationError, OptionError } from "../../src/errors.ts";
import { CARD_DEFAULTS } from "../../src/generate/defaults.ts";
import { Engine } from "../../src/generate/engine.ts";
import { saveConversation } from "../../src/generate/saved.ts";
import type { Identity } from "../../src/model/snapshots.ts";
import type { Tokenizer } from "../../src/tokenizer/tokenizer.ts";
import { answering, BOT, collect, EOS, format, tokenizer, user } from "../support/engine.ts";
import { certain, FakeModel, fakeSnapshots } from "../support/model.ts";
import { ToyTokenizer } from "../support/tokenizer.ts";

const answer = (content: string) => ({ role: "assistant" as const, content });

function engineOf({
  identity,
  contextLength = 200,
  words = tokenizer,
}: {
  identity?: Identity;
  contextLength?: number;
  words?: Tokenizer;
} = {}) {
  const reply = [ToyTokenizer.PREFIX, ...ToyTokenizer.characters("fine, thank you"), EOS];
  const model = new FakeModel({
    tokenCount: words.size,
    contextLength,
    logitsAfter: (tokens) => certain(reply[tokens.length - tokens.lastIndexOf(BOT) - 3] ?? EOS, words.size),
  });
  const parts = { model, tokenizer: words, format, addBos: true, defaults: CARD_DEFAULTS, eosIds: [EOS] };
  return { model, engine: new Engine({ ...parts, snapshots: fakeSnapshots(identity) }) };
}

const GREEDY = { temperature: 0, max_tokens: 12 };

describe("a conversation", () => {
  test("remembers what was said and answered", async () => {
    const { engine } = answering("ok.");
    const talk = engine.conversation();
    expect(talk.messages).toEqual([]);
    expect((await collect(talk.say("one"))).join("")).toBe("ok.");
    const turn = [user("one"), answer("ok.")];
    expect(talk.messages).toEqual(turn);
    await talk.say("two").complete();
    expect(talk.messages).toEqual([...turn, user("two"), answer("ok.")]);
    expect(engine.conversation(turn).messages).toEqual(turn);
  });

  test("keeps what came of an answer that was stopped, and nothing of one without a word", async () => {
    const { engine } = answering("a long answer");
    const talk = engine.conversation();
    for await (const _ of talk.say("one")) break;
    expect(talk.messages).toEqual([user("one"), answer("a")]);
    await talk.say("two", { signal: AbortSignal.abort() }).complete();
    expect(talk.messages.length).toBe(2);
    expect(() => talk.say("x".repeat(300))).toThrow(ContextOverflowError);
    expect(talk.messages.length).toBe(2);
  });

  test("shares with another one what both begin with, and neither runs again what it has", async () => {
    const { engine } = engineOf({ contextLength: 300 });
    const turn = [user("x".repeat(20)), answer("fine, thank you")];
    const talks = [0, 1].map(() => engine.conversation(turn));
    const [first, second] = ["one 0", "one 1"].map((text) => engine.encodeChat([...turn, user(text)]));
    const cached: number[] = [];
    for (const text of ["one", "two"]) {
      for (const talk of talks) {
        const { usage } = await talk.say(`${text} ${talks.indexOf(talk)}`, { temperature: 0 }).complete();
        cached.push(usage.cached_tokens);
      }
    }
    // The turn before and "one ", and then everything but what ended the answer.
    const common = first!.findIndex((id, i) => id !== second![i]);
    const whole = first!.length + 1 + "fine, thank you".length;
    expect(cached).toEqual([0, common, whole, whole]);
  });

  test("has what was said last in the place of what was not answered", async () => {
    const { engine } = answering("ok.");
    const talk = engine.conversation();
    const first = talk.say("one");
    const second = talk.say("two");
    await first.complete();
    expect(talk.messages).toEqual([]);
    await second.complete();
    expect(talk.messages).toEqual([user("two"), answer("ok.")]);
  });
});

describe("a saved conversation", () => {
  const saved = async () => {
    const { engine } = engineOf();
    const talk = engine.conversation();
    await talk.say("one", { temperature: 0 }).complete();
    const blob = await talk.save();
    const bytes = new Uint8Array(await blob.arrayBuffer());
    return { talk, blob, bytes };
  };
  const restore = (bytes: Uint8Array, options?: Parameters<typeof engineOf>[0]) =>
    engineOf(options).engine.restore(bytesSource("talk.ziya", bytes));
  /** The bytes with other ones from `at` on. */
  const patched = (bytes: Uint8Array, at: number, ...others: number[]) => {
    const copy = new Uint8Array(bytes);
    copy.set(others, at);
    return copy;
  };
  const headerOf = (bytes: Uint8Array) => {
    const length = new DataView(bytes.buffer).getUint32(12, true);
    return JSON.parse(Buffer.from(bytes.subarray(16, 16 + length)).toString());
  };
  /** With another header, and lengths that fit it; what it says is refused before the checksum is looked at. */
  const withHeader = (bytes: Uint8Array, header: unknown) => {
    const text = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
    const old = new DataView(bytes.buffer).getUint32(12, true);
    const start = Buffer.from(bytes.subarray(0, 16));
    start.writeUInt32LE(text.length, 12);
    return new Uint8Array(Buffer.concat([start, text, bytes.subarray(16 + old)]));
  };

  test("goes on in another engine as in its own, without running again what it held", async () => {
    const { talk, blob } = await saved();
    const other = engineOf();
    const restored = await other.engine.restore(blob);
    expect(restored.messages).toEqual(talk.messages);
    const wanted = await talk.say("two", GREEDY).complete();
    const got = await restored.say("two", GREEDY).complete();
    expect(got.usage.cached_tokens).toBeGreaterThan(15);
    expect(got.usage).toEqual(wanted.usage);
    expect(got.text).toBe(wanted.text);
    const { prompt_tokens, cached_tokens, completion_tokens } = got.usage;
    expect(other.model.calls.flat().length).toBe(prompt_tokens - cached_tokens + completion_tokens - 1);
    expect(restored.messages).toEqual(talk.messages);
  });

  test("is a conversation also without a word, and where the cache has nothing of it any more", async () => {
    const { engine } = engineOf();
    const turns = [user("one"), answer("ok.")];
    for (const messages of [[], turns]) {
      const blob = await engine.conversation(messages).save();
      expect((await engineOf().engine.restore(blob)).messages).toEqual(messages);
    }
  });

  test("holds all messages of an overlong one, and in the cache what it was cut to", async () => {
    const options = { ...GREEDY, overflow: "truncate" } as const;
    const talk = engineOf({ contextLength: 100 }).engine.conversation();
    const lengths: number[] = [];
    for (const text of ["1".repeat(40), "2", "3"]) {
      await talk.say(text, options).complete();
      const restored = await engineOf({ contextLength: 100 }).engine.restore(await talk.save());
      expect(restored.messages).toEqual(talk.messages);
      const { usage } = await restored.say("x", options).complete();
      lengths.push(usage.cached_tokens);
    }
    // With two turns before it a question is too long: the first turn goes, and what was cached begins with that.
    expect(lengths).toEqual([59, 4, 41]);
  });

  test("is refused in one sentence where it is another model's, cache's or tokenizer's", async () => {
    const { bytes } = await saved();
    const cases: [Parameters<typeof engineOf>[0], string][] = [
      [{ identity: { fake: false } }, "was saved with fake true, and here it is false"],
      [{ identity: { cache: "q8" } }, 'was saved with cache undefined, and here it is "q8"'],
      [{ words: Object.create(tokenizer, { size: { value: tokenizer.size - 1 } }) }, "size of the tokenizer"],
      [
        { words: Object.create(tokenizer, { decode: { value: () => "?" } }) },
        "was saved with checksum of the tokenizer",
      ],
      [{ contextLength: 10 }, "tokens, and the context 10: load the model with a longer context"],
    ];
    for (const [options, message] of cases) {
      const error = await restore(bytes, options).catch((error: unknown) => error);
      expect(error).toBeInstanceOf(ConversationError);
      expect((error as Error).message).toContain(message);
      expect((error as Error).message).toMatch(/^talk\.ziya [^\n]*[^.]\.$/);
    }
  });

  test("is refused where a byte is another, wherever, and leaves nothing in the cache", async () => {
    const { bytes } = await saved();
    const { model, engine } = engineOf();
    const { tokens } = headerOf(bytes);
    for (let at = 0; at < bytes.length; at += at < 16 || at > bytes.length - 8 ? 1 : 7) {
      const damaged = bytesSource("talk.ziya", patched(bytes, at, bytes[at]! ^ 0x20));
      await expect(engine.restore(damaged), `byte ${at}`).rejects.toThrow(ConversationError);
      expect(model.open([...tokens, 1]).length).toBe(0);
    }
    await engine.restore(bytesSource("talk.ziya", bytes));
    expect(model.open([...tokens, 1]).length).toBe(tokens.length);
  });

  test("is refused where it is cut short, longer or no such file", async () => {
    const { bytes } = await saved();
    for (let length = 0; length < bytes.length; length += 9) {
      await expect(restore(bytes.slice(0, length))).rejects.toThrow(ConversationError);
    }
    await expect(restore(Buffer.concat([bytes, bytes.subarray(0, 1)]))).rejects.toThrow(
      /and its header calls for/,
    );
    await expect(restore(new Uint8Array(100))).rejects.toThrow("is no saved conversation");
    await expect(restore(patched(bytes, 8, 2))).rejects.toThrow("saved in version 2 of the format");
  });

  test("is bounded before it is believed", async () => {
    const { bytes } = await saved();
    const header = headerOf(bytes);
    const source = {
      name: "talk.ziya",
      size: 2 ** 40,
      read: bytesSource("", patched(bytes, 12, 0, 0, 0, 1)).read,
    };
    await expect(engineOf().engine.restore(source)).rejects.toThrow("announces a header of 16777216 bytes");
    const cases: [unknown, RegExp][] = [
      ["[]", /is JSON but not an object/],
      ["\xff", /damaged/],
      ['{"tokens": [], "tokens": []}', /twice/],
      [{ ...header, tokens: 3 }, /no identity, tokens and messages/],
      [{ ...header, tokens: [...header.tokens.slice(1), 1e9] }, /ids that are not in the vocabulary/],
      [{ ...header, tokens: [...header.tokens, 1] }, /and its header calls for/],
      [{ ...header, messages: [{ role: "root", content: "x" }] }, /messages\[0\] has role "root"/],
    ];
    for (const [other, message] of cases) {
      const error = await restore(withHeader(bytes, other)).catch((error: unknown) => error);
      expect(error).toBeInstanceOf(ConversationError);
      expect((error as Error).message).toMatch(message);
    }
  });

  test("needs a model that has snapshots, and messages of a size that is read again", async () => {
    const { engine } = answering("ok.");
    await expect(engine.conversation().save()).rejects.toThrow(OptionError);
    await expect(engine.restore(new Blob())).rejects.toThrow("has no snapshots of its KV cache");
    const parts = { model: engineOf().model, tokenizer, snapshots: fakeSnapshots() };
    const long = saveConversation(parts, [user("x".repeat(9e6))], [1]);
    await expect(long.next()).rejects.toThrow("a saved one at most 8388608");
  });
});
