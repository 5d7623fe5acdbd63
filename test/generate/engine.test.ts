import { afterEach, describe, expect, test, vi } from "vitest";
import { ContextOverflowError, OptionError } from "../../src/errors.ts";
import { CARD_DEFAULTS } from "../../src/generate/defaults.ts";
import { Engine } from "../../src/generate/engine.ts";
import type { Message } from "../../src/generate/template.ts";
import { answering, BOT, collect, EOS, format, tokenizer, user } from "../support/engine.ts";
import { certain, FakeModel, type FakeModelOptions } from "../support/model.ts";
import { ToyTokenizer } from "../support/tokenizer.ts";

afterEach(() => void vi.restoreAllMocks());

describe("a prompt", () => {
  test("ends with EOS where the tokenizer's files say so", async () => {
    const model = new FakeModel({
      tokenCount: tokenizer.size,
      contextLength: 200,
      logitsAfter: () => certain(EOS, tokenizer.size),
    });
    const parts = { model, tokenizer, format, addBos: true, defaults: CARD_DEFAULTS, eosIds: [EOS] };
    for (const addEos of [false, true]) {
      const stream = new Engine({ ...parts, addEos }).generate("ab");
      await collect(stream);
      // BOS, the prefix and two letters.
      expect((await stream.result).usage.prompt_tokens).toBe(addEos ? 5 : 4);
    }
  });

  test("with an added token that the model has no row for is refused, a chat's and a text's alike", async () => {
    const rows = 16 + 0x4e00;
    const { engine } = answering("", { tokenCount: rows });
    const message = `token id ${rows}; wanted integers from 0 to ${rows - 1}`;
    expect(() => engine.chat([user("\u4e00")])).toThrow(message);
    expect(() => engine.generate("\u4e00")).toThrow(message);
    expect(() => engine.generate([rows])).toThrow(message);
    await expect(engine.logits([rows]).next()).rejects.toThrow(message);
    expect(() => engine.generate([rows - 1])).not.toThrow();
  });
});

describe("chat", () => {
  test("streams the answer and reports it", async () => {
    const { engine } = answering("你好😀!");
    const stream = engine.chat([user("hi")], { seed: 5 });
    expect(await collect(stream)).toEqual(["你", "好", "😀", "!"]);
    const { timings: _, ...result } = await stream.result;
    expect(result).toEqual({
      text: "你好😀!",
      finish_reason: "stop",
      seed: 5,
      usage: { prompt_tokens: 10, completion_tokens: 7, cached_tokens: 0 },
    });
  });

  test("tells the time that the model took, and not that of whoever reads the answer", async () => {
    let clock = 1000;
    vi.spyOn(performance, "now").mockImplementation(() => clock);
    // Three passes for the ten tokens of the prompt, one for each later token: a quarter of a second each.
    const onPass = () => {
      clock += 250;
    };
    const { engine } = answering("你好😀!", { onPass, chunk: 4 });
    const timingsOf = async (content: string) => {
      const stream = engine.chat([user(content)]);
      for await (const _ of stream) clock += 5000;
      const { usage, timings } = await stream.result;
      return { cached: usage.cached_tokens, ...timings };
    };
    expect(await timingsOf("hi")).toEqual({
      cached: 0,
      time_to_first_token_ms: 750,
      prefill_tokens_per_second: 10 / 0.75,
      decode_tokens_per_second: 1 / 0.25,
    });
    // Up to the first different character, all is in the cache: <s> <human> prefix ":" "h"; five tokens, two passes.
    expect(await timingsOf("ho")).toEqual({
      cached: 5,
      time_to_first_token_ms: 500,
      prefill_tokens_per_second: 5 / 0.5,
      decode_tokens_per_second: 1 / 0.25,
    });
  });

  test("ends at <human>, where the tokenizer has it, and at each id that ends an answer", async () => {
    const [HUMAN, PLAIN] = [3, 1];
    const ending = (id: number, specials?: readonly string[]) => {
      const ids = [
        ToyTokenizer.PREFIX,
        ...ToyTokenizer.characters("ab"),
        id,
        ...ToyTokenizer.characters("c"),
        EOS,
      ];
      const model = new FakeModel({
        tokenCount: tokenizer.size,
        contextLength: 200,
        logitsAfter: (tokens) => certain(ids[tokens.length - 1] ?? EOS, tokenizer.size),
      });
      const own = new ToyTokenizer(specials);
      const parts = { model, tokenizer: own, format, addBos: true, defaults: CARD_DEFAULTS };
      return new Engine({ ...parts, eosIds: [EOS] }).generate([BOT]).complete();
    };
    expect(await ending(HUMAN)).toMatchObject({
      text: "ab",
      finish_reason: "stop",
      usage: { completion_tokens: 4 },
    });
    expect(await ending(EOS)).toMatchObject({
      text: "ab",
      finish_reason: "stop",
      usage: { completion_tokens: 4 },
    });
    expect(await ending(PLAIN)).toMatchObject({ text: "abc", usage: { completion_tokens: 6 } });
    // A LLaMA without Ziya's tokens has no <human> to end with.
    expect(await ending(HUMAN, ["<s>", "</s>"])).toMatchObject({ text: "abc", finish_reason: "stop" });
  });

  test("ends at a stop string that is a special token, or has one in it", async () => {
    const BOS = 1;
    const ids = [...ToyTokenizer.characters("ab"), BOS, ...ToyTokenizer.characters("cd"), EOS];
    const { engine } = answering("", {
      logitsAfter: (tokens) => certain(ids[tokens.length - 1] ?? EOS, tokenizer.size),
    });
    const answer = async (stop: string | string[]) =>
      (await engine.generate([BOT], { stop }).complete()).text;
    expect(await answer([])).toBe("abcd");
    expect(await answer("<s>")).toBe("ab");
    expect(await answer(["b<s>c"])).toBe("a");
    expect(await answer("b<s>d")).toBe("abcd");
    // Also with the token that ends an answer by itself, and with what is read across one that is not shown.
    expect(await answer("d</s>")).toBe("abc");
    expect(await answer("bc")).toBe("a");
  });

  test("keeps to the lengths, stop strings and tokens that the checkpoint sets, until the caller says otherwise", async () => {
    const defaults = { ...CARD_DEFAULTS, max_length: 14, stop: ["d"] };
    const { engine } = answering("abcdefgh", { defaults });
    const answer = (options = {}) => engine.chat([user("hi")], options).complete();
    // The prompt has 10 tokens; the first of the answer is the prefix.
    expect(await answer()).toMatchObject({ text: "abc", finish_reason: "length" });
    expect(await answer({ max_tokens: 20 })).toMatchObject({ text: "abc", finish_reason: "stop" });
    expect(await answer({ max_tokens: 20, stop: [] })).toMatchObject({ text: "abcdefgh" });
    expect(() => engine.chat([user("hello there")])).toThrow(ContextOverflowError);
    expect(() => engine.chat([user("hello there")])).toThrow("wants at most 14 together with the answer");
    const [a] = ToyTokenizer.characters("a");
    const suppressing = { ...CARD_DEFAULTS, temperature: 0, suppress_tokens: new Set([a!]) };
    const { text } = await answering("a", { defaults: suppressing })
      .engine.chat([user("hi")])
      .complete();
    expect(text).not.toContain("a");
  });

  test("reuses the cache from turn to turn", async () => {
    const { engine } = answering("ok");
    await engine.chat([user("hi")]).complete();
    const messages: Message[] = [user("hi"), { role: "assistant", content: "ok" }, user("more")];
    const { usage } = await engine.chat(messages).complete();
    const first = engine.encodeChat([user("hi")]);
    // The prompt and the answer; the end token was never put into the cache.
    expect(usage.cached_tokens).toBe(first.length + 3);
    expect(usage.prompt_tokens).toBe(engine.encodeChat(messages).length);
  });

  test("gives out no part of a stop string, and what was none at the end", async () => {
    const { engine } = answering("one\n<human>:two");
    const stopped = engine.chat([user("hi")], { stop: ["<human>:"] });
    expect((await collect(stopped)).join("")).toBe("one\n");
    expect(await stopped.result).toMatchObject({ text: "one\n", finish_reason: "stop" });
    const other = await engine.chat([user("hi")], { stop: "two!" }).complete();
    expect(other).toMatchObject({ text: "one\n<human>:two", finish_reason: "stop" });
  });

  test("ends at max_tokens and at the end of the context, with half a character as U+FFFD", async () => {
    const { engine } = answering("a😀b");
    expect(await engine.chat([user("hi")], { max_tokens: 3 }).complete()).toMatchObject({
      text: "a\ufffd",
      finish_reason: "length",
    });
    const narrow = answering("abcdef", { contextLength: 12 });
    const { finish_reason, usage } = await narrow.engine.chat([user("hi")]).complete();
    expect({ finish_reason, ...usage }).toMatchObject({
      finish_reason: "length",
      prompt_tokens: 10,
      completion_tokens: 2,
    });
  });

  test("refuses a prompt that leaves no room, or drops turns when asked to", async () => {
    const { engine } = answering("x", { contextLength: 40 });
    const turns = (count: number) =>
      Array.from({ length: 2 * count - 1 }, (_, i): Message => {
        return { role: i % 2 === 0 ? "user" : "assistant", content: `m${i}` };
      });
    expect(() => engine.chat(turns(9))).toThrow(ContextOverflowError);
    expect(() => engine.chat(turns(9))).toThrow("the context holds 40, of which the answer needs");
    const { usage, text } = await engine.chat(turns(9), { overflow: "truncate" }).complete();
    expect(text).toBe("x");
    // A quarter of the context stays for the answer.
    expect(usage.prompt_tokens).toBe(engine.encodeChat(turns(9).slice(14)).length);
    expect(usage.prompt_tokens).toBeLessThanOrEqual(30);
    const huge = [user("a".repeat(50))];
    expect(() => engine.chat(huge, { overflow: "truncate" })).toThrow(ContextOverflowError);
    expect(() => engine.chat(huge, { overflow: "truncate" })).toThrow(
      /^Without the turns that can be dropped the prompt has 58 tokens; .* Shorten the last message or the system message, or load the model with a longer context\.$/,
    );
    expect(() => engine.chat(huge)).toThrow('or set overflow to "truncate".');
  });

  test("refuses unknown options and messages before anything runs", () => {
    const { engine, model } = answering("x");
    expect(() => engine.chat([user("hi")], { topp: 1 } as object)).toThrow(OptionError);
    expect(() => engine.chat([])).toThrow(OptionError);
    expect(model.calls).toEqual([]);
  });
});

describe("generate", () => {
  const echo = (options: Partial<FakeModelOptions> = {}) =>
    answering("", { logitsAfter: (tokens) => certain(tokens.at(-2)!, tokenizer.size), ...options });

  test("continues a text, as data, from where it ends", async () => {
    const { engine } = echo();
    const { text, usage } = await engine.generate("<bot>ab", { max_tokens: 5 }).complete();
    expect(text).toBe("ababa");
    expect(usage).toMatchObject({ prompt_tokens: 9, completion_tokens: 5 });
  });

  test("continues a character that the prompt left unfinished", async () => {
    const [high, low] = ToyTokenizer.characters("😀");
    const { engine } = answering("", { logitsAfter: () => certain(low!, tokenizer.size) });
    expect((await engine.generate([1, high!], { max_tokens: 1 }).complete()).text).toBe("😀");
  });

  test("takes token ids as they are and refuses those there are not", async () => {
    const { engine, model } = echo();
    await engine.generate([1, 4, 77], { max_tokens: 1 }).complete();
    expect(model.calls).toEqual([[1, 4, 77]]);
    expect(() => engine.generate([1, -1])).toThrow("the token id -1; wanted integers from 0 to");
    expect(() => engine.generate([tokenizer.size])).toThrow(OptionError);
    expect(() => engine.generate([])).toThrow("The prompt has no tokens");
    expect(() => engine.generate(7 as unknown as string)).toThrow("wanted a string or a list of token ids");
  });

  test("truncates a long prompt to its end behind the begin id", async () => {
    const { engine, model } = echo({ contextLength: 20, chunk: 64 });
    const text = "abcdefghijklmnopqrstuvwxyz";
    expect(() => engine.generate(text)).toThrow(ContextOverflowError);
    const { usage } = await engine.generate(text, { overflow: "truncate", max_tokens: 2 }).complete();
    expect(usage).toMatchObject({ prompt_tokens: 18, completion_tokens: 2 });
    expect(model.calls[0]).toEqual([1, ...ToyTokenizer.characters(text.slice(-17))]);
  });
});

describe("logits", () => {
  test("gives every row, and leaves to an answer what it had cached", async () => {
    const { engine } = answering("abc");
    await engine.chat([user("hi")]).complete();
    const rows: Float32Array[] = [];
    for await (const row of engine.logits([9, 9])) rows.push(row);
    expect(rows).toHaveLength(2);
    const { usage, text } = await engine.chat([user("hi")]).complete();
    expect({ text, cached: usage.cached_tokens }).toEqual({ text: "abc", cached: usage.prompt_tokens - 1 });
  });

  test("destroy releases the model and what the engine holds besides", () => {
    const { model } = answering("");
    let released = 0;
    const parts = { model, tokenizer, format, addBos: true, defaults: CARD_DEFAULTS };
    new Engine({ ...parts, eosIds: [EOS], release: () => void released++ }).destroy();
    expect([model.destroyed, released]).toEqual([true, 1]);
  });
});
