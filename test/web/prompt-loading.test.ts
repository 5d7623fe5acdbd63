/// <reference types="dom-chromium-ai" />
import { afterEach, describe, expect, test, vi } from "vitest";
import { load } from "../../node/index.ts";
import type { Message } from "../../src/index.ts";
import { createLanguageModel } from "../../web/prompt/language-model.ts";
import type { CreateOptions, EngineLoader, PromptEngine } from "../../web/prompt/types.ts";
import { user } from "../support/engine.ts";
import { testDeviceOptions } from "../support/gpu.ts";
import { begin, failureOf, scriptedEngine } from "../support/prompt.ts";

const bot = (content: string): Message => ({ role: "assistant", content });

afterEach(() => void vi.unstubAllGlobals());

describe("sampling", () => {
  test.each<[CreateOptions, object]>([
    [{}, {}],
    [{ samplingMode: "balanced" }, {}],
    [{ samplingMode: "most-predictable" }, { temperature: 0 }],
    [{ samplingMode: "creative" }, { temperature: 1.25 }],
    [
      { topK: 3.9, temperature: 0.5 },
      { top_k: 3, temperature: 0.5 },
    ],
    [
      { topK: Infinity, temperature: Infinity },
      { top_k: 64, temperature: 2 },
    ],
  ])("%j asks the engine for %j", async (options, wanted) => {
    const { session, asked } = await begin(options);
    await session.prompt("a");
    const { signal: _, ...got } = asked[0]!.options;
    expect(got).toEqual(wanted);
    const { top_k: topK = 50, temperature = 1 } = wanted as { top_k?: number; temperature?: number };
    expect([session.topK, session.temperature]).toEqual([topK, temperature]);
    expect(session.samplingMode).toBe(options.samplingMode ?? "balanced");
  });

  test("has the model's defaults and bounds", async () => {
    expect(await createLanguageModel(scriptedEngine().engine).params()).toEqual({
      defaultTopK: 50,
      maxTopK: 64,
      defaultTemperature: 1,
      maxTemperature: 2,
    });
  });
});

describe("loading", () => {
  test("begins with the first session, is told to every monitor, and is tried again", async () => {
    let settle: { resolve: (engine: PromptEngine) => void; reject: (error: Error) => void };
    let report: Parameters<EngineLoader>[0]["onProgress"];
    const loader = vi.fn<EngineLoader>(({ onProgress }) => {
      report = onProgress;
      return new Promise((resolve, reject) => {
        settle = { resolve, reject };
      });
    });
    const model = createLanguageModel(loader);
    const loaded: number[][] = [[], []];
    const options = (at: number): CreateOptions => ({
      monitor: (monitor) => {
        monitor.ondownloadprogress = ({ loaded: part, total }) => loaded[at]!.push(part / total);
      },
    });
    expect(await model.availability()).toBe("downloadable");
    expect(loader).not.toHaveBeenCalled();
    const first = model.create(options(0));
    await vi.waitFor(() => expect(loader).toHaveBeenCalledTimes(1));
    expect(await model.availability()).toBe("downloading");
    const controller = new AbortController();
    const aborted = failureOf(model.create({ ...options(1), signal: controller.signal }));
    report!({ phase: "download", done: 1, total: 4 });
    controller.abort();
    expect((await aborted).name).toBe("AbortError");
    for (const done of [2, 1, 4]) report!({ phase: "download", done, total: 4 });
    report!({ phase: "load", done: 3, total: 4 });
    settle!.reject(new Error("offline"));
    const failure = await failureOf(first);
    expect([failure.name, failure.message]).toEqual(["OperationError", "offline"]);
    expect(await model.availability()).toBe("downloadable");

    const second = model.create(options(0));
    await vi.waitFor(() => expect(loader).toHaveBeenCalledTimes(2));
    settle!.resolve(scriptedEngine().engine);
    expect(await (await second).prompt("a")).toBe("<a>");
    expect(loaded).toEqual([
      [0, 0.25, 0.5, 0, 1],
      [0, 0.25],
    ]);
    expect(await model.availability()).toBe("available");
    await model.create();
    expect(loader).toHaveBeenCalledTimes(2);
  });
});

test("ziya-tiny gives a page the answers of chat(), and sessions share what is in the cache", async () => {
  const engine = await load(testDeviceOptions());
  try {
    vi.stubGlobal("LanguageModel", createLanguageModel(engine));
    // As a page has it.
    const session = await LanguageModel.create({
      samplingMode: "most-predictable",
      initialPrompts: [
        { role: "user", content: "我叫小明。" },
        { role: "assistant", content: "你好,小明!" },
      ],
    });
    const greedy = { temperature: 0 };
    const asked: Message[] = [user("我叫小明。"), bot("你好,小明!"), user("我叫什么名字?")];
    const wanted = await engine.chat(asked, greedy).complete();
    const copy = await session.clone();
    expect(await session.prompt("我叫什么名字?")).toBe(wanted.text);
    expect(wanted.text).toContain("小明");
    const question = "Which city is the capital of Japan?";
    const streamed: string[] = [];
    for await (const piece of copy.promptStreaming(question)) streamed.push(piece);
    const other = await engine.chat([asked[0]!, asked[1]!, user(question)], greedy).complete();
    expect(streamed.join("")).toBe(other.text);
    expect(streamed.length).toBeGreaterThan(1);
    const capital = [user(question), { ...bot("To"), prefix: true }];
    const fresh = await LanguageModel.create({ samplingMode: "most-predictable" });
    expect(await fresh.prompt(capital as LanguageModelPrompt)).toBe("kyo");
    // A prompt that was appended was run.
    const counted = await engine.chat([user("48+87=?")], greedy).complete();
    const later = await LanguageModel.create();
    await later.append("我叫大卫。");
    const again = await engine.chat([user("我叫大卫。")], greedy).complete();
    expect(again.usage.cached_tokens).toBe(again.usage.prompt_tokens - 1);
    expect(counted.usage.cached_tokens).toBeLessThan(5);
  } finally {
    engine.destroy();
  }
});
