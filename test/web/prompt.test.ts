/// <reference types="dom-chromium-ai" />
import { afterEach, describe, expect, expectTypeOf, test, vi } from "vitest";
import type { Engine, Message } from "../../src/index.ts";
import type { WebEngine } from "../../web/api.ts";
import { createLanguageModel } from "../../web/prompt/language-model.ts";
import type { CreateOptions, PromptEngine, PromptInput } from "../../web/prompt/types.ts";
import { answering, user } from "../support/engine.ts";
import { begin, failureOf, scriptedEngine } from "../support/prompt.ts";

const bot = (content: string): Message => ({ role: "assistant", content });
const system = (content: string): Message => ({ role: "system", content });

afterEach(() => void vi.unstubAllGlobals());

test("types: what a page calls LanguageModel, of any engine, is one by the published types", async () => {
  const { engine } = scriptedEngine();
  const model: typeof LanguageModel = createLanguageModel(engine);
  const session: LanguageModel = await model.create({
    initialPrompts: [
      { role: "system", content: "s" },
      { role: "user", content: "u" },
    ],
    monitor: (monitor) => monitor.addEventListener("downloadprogress", ({ loaded }) => void loaded),
  });
  session.addEventListener("contextoverflow", () => {});
  const handler: LanguageModel["oncontextoverflow"] = function () {
    expect(this).toBe(session);
  };
  session.oncontextoverflow = handler;
  expect(session.oncontextoverflow).toBe(handler);
  session.dispatchEvent(new Event("contextoverflow"));
  expect(session).toBeInstanceOf(model);
  expect(await session.prompt([{ role: "user", content: [{ type: "text", value: "q" }] }])).toBe("<s\nu\nq>");
  expectTypeOf(session.promptStreaming("a")).toEqualTypeOf<ReadableStream<string>>();
  expectTypeOf<Engine>().toExtend<PromptEngine>();
  expectTypeOf<WebEngine>().toExtend<PromptEngine>();
});

describe("a session", () => {
  test("answers as the engine's chat does, and keeps what was said", async () => {
    const { engine } = answering("你好😀!");
    const session = await createLanguageModel(engine).create();
    expect(await session.prompt("hi")).toBe("你好😀!");
    expect(session.contextUsage).toBe(engine.encodeChat([user("hi"), bot("你好😀!"), user("")]).length);
    const pieces: string[] = [];
    for await (const piece of session.promptStreaming("and?")) pieces.push(piece);
    expect(pieces).toEqual(["你", "好", "😀", "!"]);
    const asked = [user("hi"), bot("你好😀!"), user("and?")];
    expect(session.contextUsage).toBe(engine.encodeChat([...asked, bot("你好😀!"), user("")]).length);
  });

  test("counts what a prompt adds, and changes nothing by that", async () => {
    const { session, asked } = await begin();
    expect([session.contextUsage, session.contextWindow]).toEqual([0, 100]);
    expect(await session.measureContextUsage("abc")).toBe(5);
    await session.prompt("abc");
    // abc, <abc>, and an empty turn.
    expect(session.contextUsage).toBe(5 + 7 + 2);
    // What begins the turn is counted.
    expect(await session.measureContextUsage("defg")).toBe(4);
    expect(await session.measureInputUsage([user("d"), bot("e")])).toBe(1 + 3 + 2);
    expect([session.inputUsage, session.inputQuota]).toEqual([14, 100]);
    expect(asked.length).toBe(1);
  });

  test.each([false, true])(
    "begins with its initial prompts, of a model with a system role: %s",
    async (hasSystem) => {
      const initialPrompts = [system("Be brief."), user("1"), bot("one")];
      const { session, messages, asked } = await begin({ initialPrompts }, { hasSystem });
      const before = hasSystem ? [system("Be brief."), user("1")] : [user("Be brief.\n1")];
      // They were run, so that an answer begins sooner.
      expect(asked.length).toBe(1);
      expect(asked[0]!.ids!.length).toBe(session.contextUsage);
      expect(asked[0]!.options.max_tokens).toBe(1);
      await session.prompt("2");
      expect(messages()).toEqual([...before, bot("one"), user("2")]);
    },
  );

  test("takes messages of any order, texts in parts, and what is no list as text", async () => {
    const { session, messages } = await begin();
    await session.append([bot("Hello."), user("a")]);
    const content = ["b", "c"].map((value) => ({ type: "text", value }));
    await session.prompt([{ role: "user", content }, user("d")]);
    expect(messages()).toEqual([user(""), bot("Hello."), user("a\nbc\nd")]);
    await session.prompt([user("e"), bot("f")]);
    expect(messages()!.slice(3)).toEqual([bot("<a\nbc\nd>"), user("e"), bot("f"), user("")]);
    await session.prompt([]);
    expect(messages()!.slice(-2)).toEqual([bot("f\n<>"), user("")]);
    await session.prompt(7 as unknown as string);
    expect(messages()!.at(-1)).toEqual(user("7"));
  });

  test("goes on behind a prefix, and keeps it with the answer", async () => {
    const { session, asked, messages } = await begin();
    const prompt = [user("q"), { ...bot("ab"), prefix: true }];
    const measured = await session.measureContextUsage(prompt);
    expect(await session.prompt(prompt)).toBe("…");
    expect(asked[0]!.ids).toEqual([1, 1, 113, 97, 98]);
    expect(measured).toBe(5);
    await session.prompt("r");
    expect(messages()).toEqual([user("q"), bot("ab…"), user("r")]);
  });

  test("does one after the other, whether a stream is read or not", async () => {
    const { session, asked } = await begin();
    const stream = session.promptStreaming("long question");
    const [answer, , last] = await Promise.all([
      session.prompt("a"),
      session.append("b"),
      session.prompt("c"),
    ]);
    expect([answer, last]).toEqual(["<a>", "<b\nc>"]);
    expect(asked.at(-1)!.messages!.map(({ content }) => content)).toEqual([
      "long question",
      "<long question>",
      "a",
      "<a>",
      "b\nc",
    ]);
    let text = "";
    for await (const piece of stream) text += piece;
    expect(text).toBe("<long question>");
  });

  test("leaves nothing of what is aborted: waiting, under way, cancelled, or never begun", async () => {
    const { session, asked, messages } = await begin();
    const [first, second] = [new AbortController(), new AbortController()];
    const underWay = session.promptStreaming("under way", { signal: first.signal }).getReader();
    const waiting = failureOf(session.prompt("waiting", { signal: second.signal }));
    second.abort(new Error("enough"));
    expect((await waiting).message).toBe("enough");
    expect((await underWay.read()).value).toBe("<");
    first.abort();
    expect((await failureOf(underWay.read())).name).toBe("AbortError");
    const reader = session.promptStreaming("cancelled").getReader();
    expect((await reader.read()).value).toBe("<");
    await reader.cancel();
    const signal = AbortSignal.abort(new Error("before"));
    for (const call of [
      session.append("x", { signal }),
      session.measureContextUsage("x", { signal }),
      session.clone({ signal }),
    ]) {
      expect((await failureOf(call)).message).toBe("before");
    }
    await session.prompt("last");
    expect(messages()).toEqual([user("last")]);
    expect(asked.map(({ messages }) => messages![0]!.content)).toEqual(["under way", "cancelled", "last"]);
  });

  test("is over when it is destroyed, or the signal of its making is aborted", async () => {
    const controller = new AbortController();
    const { session } = await begin({ signal: controller.signal });
    const copy = await session.clone();
    const answer = failureOf(session.prompt("q"));
    controller.abort(new Error("closed"));
    expect((await answer).message).toBe("closed");
    expect((await failureOf(session.append("q"))).message).toBe("closed");
    expect(await copy.prompt("q")).toBe("<q>");
    const stream = copy.promptStreaming("r").getReader();
    expect(copy.destroy()).toBeUndefined();
    expect((await failureOf(stream.read())).name).toBe("AbortError");
    expect((await failureOf(copy.prompt("q"))).name).toBe("AbortError");
  });

  test("that is cloned goes on apart from the first", async () => {
    const { session, messages } = await begin({ topK: 3, initialPrompts: [user("i"), bot("j")] });
    await session.prompt("a");
    const copy = await session.clone();
    expect(copy).not.toBe(session);
    expect([copy.topK, copy.contextUsage]).toEqual([3, session.contextUsage]);
    await copy.prompt("b");
    await session.prompt("c");
    expect(messages()!.slice(2)).toEqual([user("a"), bot("<a>"), user("c")]);
  });

  test("turns an engine's error into one of the draft, and goes on", async () => {
    const { engine } = scriptedEngine();
    const error = new Error("The device is lost.");
    const session = await createLanguageModel({
      ...engine,
      chat: (messages, options) => {
        if (messages[0]!.content === "bad") throw error;
        return engine.chat(messages, options);
      },
    }).create();
    const failure = await failureOf(session.prompt("bad"));
    expect([failure.name, failure.message, failure.cause]).toEqual(["UnknownError", error.message, error]);
    expect(failure).toBeInstanceOf(DOMException);
    expect(await session.prompt("good")).toBe("<good>");
  });
});

describe("a full context", () => {
  // A quarter of the 100 tokens is left for answers.
  const long = "x".repeat(27);

  test("drops the oldest turns, but no initial prompts, and fires the event", async () => {
    const { session, messages } = await begin({ initialPrompts: [user("i"), bot("j")] });
    const fired: string[] = [];
    session.oncontextoverflow = ({ type }) => fired.push(type);
    session.addEventListener("quotaoverflow", ({ type }) => fired.push(type));
    await session.prompt(long);
    await session.prompt("short");
    expect(fired).toEqual([]);
    await session.prompt("third");
    expect(fired).toEqual(["contextoverflow", "quotaoverflow"]);
    const left = [user("i"), bot("j"), user("short"), bot("<short>"), user("third")];
    expect(messages()).toEqual(left);
    expect(session.contextUsage).toBe(
      (await scriptedEngine().engine.encodeChat([...left, bot("<third>"), user("")])).length,
    );
  });

  test("keeps a system message that came with the first prompt", async () => {
    const { session, messages } = await begin({}, { hasSystem: true });
    await session.prompt([system("s"), user(long)]);
    await session.prompt(long);
    expect(messages()).toEqual([system("s"), user(long)]);
  });

  test("has no room for an input that is too long by itself: nothing is dropped", async () => {
    const { session, messages } = await begin({ initialPrompts: [user("i"), bot("j")] });
    await session.prompt("a");
    const before = session.contextUsage;
    const failure = await failureOf(session.prompt("y".repeat(92)));
    expect([failure.name, failure.requested, failure.quota]).toEqual([
      "QuotaExceededError",
      before + 92,
      100,
    ]);
    expect(failure).toBeInstanceOf(DOMException);
    expect(failure.message).toContain("the input has 100 tokens; the context holds 100");
    expect((await failureOf(session.append("y".repeat(92)))).name).toBe("QuotaExceededError");
    await session.prompt("b");
    expect(messages()).toEqual([user("i"), bot("j"), user("a"), bot("<a>"), user("b")]);
    // One less leaves a token for the answer.
    expect(await session.prompt("y".repeat(91))).toContain("y");
    const initial = await failureOf(begin({ initialPrompts: [user("z".repeat(98))] }));
    expect([initial.name, initial.requested, initial.quota]).toEqual(["QuotaExceededError", 100, 100]);
  });

  test("is told of by the browser's own class where there is one", async () => {
    class Own extends Error {
      readonly init: unknown;
      constructor(message: string, init: unknown) {
        super(message);
        this.init = init;
      }
    }
    vi.stubGlobal("QuotaExceededError", Own);
    const { session } = await begin();
    const failure = await failureOf(session.prompt("y".repeat(98)));
    expect(failure.cause).toBeInstanceOf(Own);
    expect((failure.cause as Own).init).toEqual({ requested: 100, quota: 100 });
  });
});

describe("what is refused", () => {
  const image = { role: "user", content: [{ type: "image", value: new Uint8Array() }] } as const;
  const audio = { role: "user", content: [{ type: "audio", value: new Uint8Array() }] } as const;
  test.each<[string, string, PromptInput]>([
    ["NotSupportedError", "an image", [image]],
    ["NotSupportedError", "audio", [audio]],
    ["SyntaxError", "a prefix of the user's", [{ ...user("a"), prefix: true }]],
    ["SyntaxError", "a prefix that is not last", [{ ...bot("a"), prefix: true }, user("b")]],
    ["TypeError", "a role that there is not", [{ role: "tool" as "user", content: "a" }]],
    ["TypeError", "a type that there is not", [{ role: "user", content: [{ type: "smell", value: "a" }] }]],
    ["TypeError", "a text that is none", [{ role: "user", content: [{ type: "text", value: 1 }] }]],
    ["TypeError", "no message", [null as unknown as Message]],
    ["TypeError", "a message without content", [{ role: "user" } as Message]],
    ["TypeError", "nothing", undefined as unknown as string],
    ["TypeError", "a system message behind others", [user("a"), system("b")]],
  ])("%s: %s", async (name, _, input) => {
    const { session } = await begin();
    expect((await failureOf(session.prompt(input))).name).toBe(name);
    expect((await failureOf(session.promptStreaming(input).getReader().read())).name).toBe(name);
    expect((await failureOf(session.append(input))).name).toBe(name);
    expect(session.contextUsage).toBe(0);
  });

  test("a system message when something was said, a prefix to append, constrained answers", async () => {
    const { session } = await begin();
    const prefix = await failureOf(session.append([{ ...bot("a"), prefix: true }]));
    expect(prefix.name).toBe("NotSupportedError");
    await session.append("a");
    expect((await failureOf(session.prompt([system("b")]))).name).toBe("TypeError");
    const constraint = await failureOf(session.prompt("a", { responseConstraint: { type: "number" } }));
    expect([constraint.name, constraint.message]).toEqual([
      "NotSupportedError",
      "responseConstraint is set; answers of this model cannot be constrained.",
    ]);
    const omitted = failureOf(session.measureContextUsage("a", { omitResponseConstraintInput: true }));
    expect((await omitted).name).toBe("TypeError");
  });

  test.each<[string, CreateOptions]>([
    ["NotSupportedError", { expectedInputs: [{ type: "image" }] }],
    ["NotSupportedError", { expectedOutputs: [{ type: "audio" }] }],
    ["NotSupportedError", { tools: [{}] }],
    ["RangeError", { expectedInputs: [{ type: "text", languages: ["no tag"] }] }],
    ["RangeError", { topK: 0 }],
    ["RangeError", { temperature: -1 }],
    ["TypeError", { topK: 1, samplingMode: "balanced" }],
    ["TypeError", { samplingMode: "wild" as "creative" }],
  ])("%s of create(%j)", async (name, options) => {
    const model = createLanguageModel(scriptedEngine().engine);
    expect((await failureOf(model.create(options))).name).toBe(name);
    const available = model.availability(options);
    if (name === "NotSupportedError") expect(await available).toBe("unavailable");
    else expect((await failureOf(available)).name).toBe(name);
  });

  test("system messages in a wrong place of the initial prompts, a model that does not chat, its constructor", async () => {
    expect((await failureOf(begin({ initialPrompts: [user("a"), system("b")] }))).name).toBe("TypeError");
    const { engine } = scriptedEngine();
    const encodeChat = async () => {
      throw Object.assign(new Error("No template."), { code: "config" });
    };
    const model = createLanguageModel({ ...engine, encodeChat });
    expect((await failureOf(model.create())).name).toBe("NotSupportedError");
    expect(() => new (model as unknown as new () => unknown)()).toThrow(TypeError);
  });
});
