import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openFolder } from "../../node/files.ts";
import { type DawnHost, dawnHost, packageRoot } from "../../node/host.ts";
import { type Engine, loadEngine } from "../../src/index.ts";
import { PREFILLS } from "../../src/model/prefill.ts";
import { beforeWorkers, expectBrowser, hasBrowser, useSources } from "../support/browser.ts";
import { testDeviceOptions } from "../support/gpu.ts";

expectBrowser();

const MESSAGES = [{ role: "user", content: "你好,你是谁?" }] as const;
const GREEDY = { temperature: 0, max_tokens: 12 };
/** What SwiftShader computes the quickest, and compiles in the same time as any. */
const QUICK = { decode: "f32 4x2", chunk: 32 };

/** Destroys the devices of a page's workers when the channel "lose" has a message: what a driver does that is reset. */
const LOSE = `
  const request = GPUAdapter.prototype.requestDevice;
  GPUAdapter.prototype.requestDevice = async function (descriptor) {
    const device = await request.call(this, descriptor);
    new BroadcastChannel("lose").onmessage = () => device.destroy();
    return device;
  };`;

describe.skipIf(!hasBrowser)("an engine in a worker", () => {
  const sources = useSources();
  let host: DawnHost;
  let engine: Engine;
  let page: Page;
  const asked: string[] = [];

  beforeAll(async () => {
    host = dawnHost();
    engine = await loadEngine(
      host,
      openFolder(join(packageRoot, "models", "ziya-tiny")),
      testDeviceOptions(),
    );
    page = await sources.browser.newPage();
    page.on("request", (request) => asked.push(request.url()));
    await beforeWorkers(page, LOSE);
    await page.goto(sources.server.blank);
    await run(`
      globalThis.ziya = await import(${JSON.stringify(sources.server.address("web/index.ts"))});
      globalThis.reports = [];
      globalThis.losses = [];
      globalThis.engine = await ziya.loadEngine("models/ziya-tiny/", {
        ...QUICK,
        onProgress: (report) => reports.push(report),
        onDeviceLost: (error, recovered) => losses.push({ error, recovered }),
      });`);
  });

  afterAll(async () => {
    engine?.destroy();
    host?.release();
  });

  /** What statements in the page return; MESSAGES, GREEDY and QUICK are known to them. */
  function run<Result>(statements: string): Promise<Result> {
    const known = `const [MESSAGES, GREEDY, QUICK] = ${JSON.stringify([MESSAGES, GREEDY, QUICK])};`;
    // Text, so that Vitest does not put names of its own into it.
    return page.evaluate(`(async () => { ${known} ${statements} })()`) as Promise<Result>;
  }

  /** The name, code and message of what statements throw. */
  function thrown(statements: string): Promise<{ name: string; code: string; message: string }> {
    return run(`
      try { ${statements} } catch (error) { return { name: error.constructor.name, code: error.code, message: error.message }; }
      return undefined;`);
  }

  const here = () => engine.chat(MESSAGES, GREEDY).complete();

  test("answers as the engine of Node does, in pieces of whole characters", async () => {
    const { pieces, result } = await run<{ pieces: string[]; result: Awaited<ReturnType<typeof here>> }>(`
      const stream = engine.chat(MESSAGES, GREEDY);
      const pieces = [];
      for await (const piece of stream) pieces.push(piece);
      return { pieces, result: await stream.result };`);
    const wanted = await here();
    expect(result.text).toBe(wanted.text);
    expect(result.usage).toEqual({ ...wanted.usage, cached_tokens: 0 });
    expect(result.finish_reason).toBe(wanted.finish_reason);
    expect(pieces.join("")).toBe(wanted.text);
    expect(pieces.length).toBeGreaterThan(3);
    expect(result.timings.decode_tokens_per_second).toBeGreaterThan(0);
  });

  test("tells how it is stored, and of its loading", async () => {
    const { info, last, phases } = await run<{
      phases: string[];
      info: {
        wrong: string[];
        memory: { weights: number; total: number };
        context: number;
        decoding: string;
        prefilling: string;
        defaults: object;
      };
      last: { phase: string; done: number; total: number };
    }>(
      "return { info: engine.info, last: reports.at(-1), phases: [...new Set(reports.map(({ phase }) => phase))] };",
    );
    expect(info.context).toBe(engine.model.contextLength);
    expect(info.defaults).toEqual(JSON.parse(JSON.stringify(engine.defaults)));
    expect(info.memory.total).toBeGreaterThan(info.memory.weights);
    expect(info.memory.weights).toBeGreaterThan(1e6);
    expect(info.wrong).toEqual([]);
    expect(info.decoding).toMatch(/^(plain|\w+ \w+)$/);
    expect(PREFILLS).toContain(info.prefilling);
    expect(phases).toEqual(["download", "compile", "load"]);
    expect(last.phase).toBe("load");
    expect(last.done).toBe(last.total);
  });

  test("a model with an address is kept in the browser's storage, which asks nothing of its server again", async () => {
    expect(asked.splice(0).some((url) => url.endsWith("/models/ziya-tiny/model.safetensors"))).toBe(true);
    const { stored, needs, refused, phases } = await run<{
      stored: { name: string; whole: boolean; done: number; total: number }[];
      needs: { bytes: number; memory: { total: number }; obstacle?: string };
      refused: string;
      phases: string[];
    }>(`
      const models = ziya.openModels();
      const needs = await models.inspect({ stored: "ziya-tiny" }, { context: 64 });
      const refused = await models.delete("ziya-tiny").catch(({ message }) => message);
      // Its files are all here when it comes to the kernels, and those are not needed again.
      const enough = new AbortController();
      const phases = [];
      const onProgress = ({ phase }) => {
        phases.push(phase);
        if (phase === "compile") enough.abort();
      };
      await ziya.loadEngine("models/ziya-tiny/", { onProgress, signal: enough.signal }).catch(() => {});
      const stored = await models.list();
      models.close();
      return { stored, needs, refused, phases };`);
    expect(stored).toEqual([expect.objectContaining({ name: "ziya-tiny", whole: true })]);
    expect(stored[0]!.done).toBe(stored[0]!.total);
    expect(needs.bytes).toBe(stored[0]!.total);
    expect(needs.memory.total).toBeGreaterThan(1e6);
    expect(needs.obstacle).toBeUndefined();
    expect(refused).toMatch(/^ziya-tiny is in use/);
    expect(phases).toEqual(["compile"]);
    expect(asked.filter((url) => url.includes("/models/ziya-tiny/"))).toEqual([]);
  });

  test("the browser is asked to keep what is downloaded", async () => {
    const asked = await run(`
      let asked = 0;
      StorageManager.prototype.persist = async () => ++asked > 0;
      const models = ziya.openModels();
      await models.download("models/ziya-tiny/");
      models.close();
      return asked;`);
    expect(asked).toBe(1);
  });

  test("several answers come at once, each its own", async () => {
    const questions = ["3+4", "Who are you?", "法国的首都是哪里?"];
    const ask = `Promise.all(${JSON.stringify(questions)}.map((content) =>
      engine.chat([{ role: "user", content }], GREEDY).complete().then(({ text }) => text)))`;
    const wanted = [];
    for (const content of questions)
      wanted.push((await engine.chat([{ role: "user", content }], GREEDY).complete()).text);
    expect(await run(`return ${ask};`)).toEqual(wanted);
  });

  test("a signal ends an answer where it is, and leaving the loop does", async () => {
    const [stopped, left, unread] = await run<{ text: string; finish_reason: string; heard: string }[]>(`
      const ends = new AbortController();
      const stream = engine.chat(MESSAGES, { ...GREEDY, signal: ends.signal });
      let heard = "";
      for await (const piece of stream) { heard += piece; ends.abort(); }
      const other = engine.chat(MESSAGES, GREEDY);
      let first = "";
      for await (const piece of other) { first += piece; break; }
      const aborted = engine.chat(MESSAGES, { ...GREEDY, signal: AbortSignal.abort() });
      for await (const _ of aborted) throw new Error("a piece");
      return [{ ...(await stream.result), heard }, { ...(await other.result), heard: first }, await aborted.result];`);
    const { text } = await here();
    for (const answer of [stopped!, left!]) {
      expect(answer.finish_reason).toBe("abort");
      expect(answer.heard).not.toBe("");
      expect(answer.text.startsWith(answer.heard)).toBe(true);
      expect(text.startsWith(answer.text)).toBe(true);
    }
    expect(stopped!.heard).toBe(stopped!.text);
    expect(unread!).toMatchObject({ finish_reason: "abort", text: "" });
  });

  test("no more is answered than a few pieces ahead of who reads", async () => {
    const { other, result } = await run<
      Record<"other" | "result", { usage: { completion_tokens: number } }>
    >(`
      // Of all tokens nearly alike, so that none of them is likely to end an answer.
      const options = { temperature: 20, top_p: 1, top_k: 0 };
      const stream = engine.chat(MESSAGES, { ...options, seed: 7, max_tokens: 400 });
      for await (const first of stream) {
        // Longer than the others take: another answer runs, and ends.
        const other = await engine.chat(MESSAGES, { ...options, seed: 8, max_tokens: 28 }).complete();
        return { other, result: await (stream[Symbol.asyncIterator]().return(), stream.result) };
      }`);
    expect(other.usage.completion_tokens).toBe(28);
    expect(result.usage.completion_tokens).toBeLessThan(28);
  });

  test("options that are wrong are refused where they are given, by the error that Node throws", async () => {
    expect(await thrown("engine.chat(MESSAGES, { temperature: -1 });")).toEqual({
      name: "OptionError",
      code: "option",
      message: "temperature is -1; wanted a number from 0 to 100.",
    });
    const long = `engine.chat([{ role: "user", content: "好".repeat(5000) }], GREEDY)`;
    const { name, code } = await thrown(`for await (const piece of ${long});`);
    expect([name, code]).toEqual(["ContextOverflowError", "context-overflow"]);
    expect((await thrown(`await ${long}.complete();`)).code).toBe("context-overflow");
  });

  test("a conversation goes on, is saved and is gone on with", async () => {
    const { messages, again, cached } = await run<{ messages: unknown[]; again: string; cached: number }>(`
      const talk = engine.conversation();
      await talk.say("重复:苹果 香蕉 西瓜", GREEDY).complete();
      const other = await engine.restore(await talk.save());
      const { text: wanted } = await talk.say("3+4", GREEDY).complete();
      const { text, usage } = await other.say("3+4", GREEDY).complete();
      return { messages: talk.messages, again: text === wanted, cached: usage.cached_tokens };`);
    const talk = engine.conversation();
    await talk.say("重复:苹果 香蕉 西瓜", GREEDY).complete();
    await talk.say("3+4", GREEDY).complete();
    expect(messages).toEqual(talk.messages);
    expect(again).toBe(true);
    expect(cached).toBeGreaterThan(10);
  });

  test("counts and turns text as the tokenizer does", async () => {
    const [prompt, ids, text] = await run<[number[], number[], string]>(`
      const ids = await engine.encode("苹果 apple");
      return [await engine.encodeChat(MESSAGES), ids, await engine.decode(ids)];`);
    expect(prompt).toEqual(engine.encodeChat(MESSAGES));
    expect(ids).toEqual(engine.tokenizer.encode("苹果 apple"));
    expect(text).toBe("苹果 apple");
  });

  test("what was found out about an adapter is kept for the next visit", async () => {
    const kept = await run(`
      const { store } = ziya.webHost();
      await store.write("decode-1", new Uint8Array([1, 2, 3]));
      return [await store.read("decode-0"), [...(await ziya.webHost().store.read("decode-1"))]];`);
    expect(kept).toEqual([undefined, [1, 2, 3]]);
  });

  test("a folder from the disk is read where it lies", async () => {
    const prompt = await run(`
      const names = ["config.json", "tokenizer.model", "tokenizer_config.json", "added_tokens.json", "model.safetensors"];
      const files = await Promise.all(names.map(async (name) =>
        new File([await (await fetch("models/ziya-tiny/" + name)).blob()], name)));
      const own = await ziya.loadEngine({ files }, { context: 64, ...QUICK });
      const prompt = await own.encodeChat(MESSAGES);
      own.destroy();
      return [own.info.context, ...prompt];`);
    expect(prompt).toEqual([64, ...engine.encodeChat(MESSAGES)]);
  });

  test("a lost device is opened again, and the answer goes on in its stream", async () => {
    const { text, names } = await run<{ text: string; names: string[] }>(`
      let text = "";
      for await (const piece of engine.chat(MESSAGES, GREEDY)) {
        if (text === "") new BroadcastChannel("lose").postMessage("now");
        text += piece;
      }
      for (const { recovered } of losses) await recovered;
      return { text, names: losses.map(({ error }) => error.constructor.name) };`);
    expect(names).toEqual(["DeviceLostError"]);
    expect(text).toBe((await here()).text);
  });

  test("a worker whose file is not there is told of, with what to do", async () => {
    const { message } = await thrown(`
      const { Worker } = globalThis;
      globalThis.Worker = class { constructor(_, options) { return new Worker("nothing.js", options); } };
      try { await ziya.loadEngine("models/ziya-tiny/"); } finally { globalThis.Worker = Worker; }`);
    expect(message).toMatch(/^The worker of ziya-webgpu did not start: .* give the option `worker`/);
  });

  test("what is under way fails when the engine is destroyed, and a worker that is none is told of", async () => {
    expect(
      await thrown(`
        const { loadEngine } = ziya;
        await loadEngine("models/ziya-tiny/", { worker: () => new Worker(URL.createObjectURL(new Blob(["throw 1"]))) });`),
    ).toMatchObject({ name: "OptionError" });
    expect(
      await thrown(`
        const stream = engine.chat(MESSAGES, GREEDY);
        for await (const piece of stream) engine.destroy();`),
    ).toMatchObject({ name: "DOMException", message: "The engine was destroyed." });
  });
});
