import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { saveConversation } from "../../node/conversation.ts";
import { fileSource, openFolder } from "../../node/files.ts";
import { type DawnHost, dawnHost, packageRoot } from "../../node/host.ts";
import { type Conversation, type Engine, loadEngine } from "../../src/index.ts";
import { expectBrowser, hasBrowser, useSources } from "../support/browser.ts";
import { testDeviceOptions } from "../support/gpu.ts";

expectBrowser();

const QUESTIONS = ["重复:苹果 香蕉 西瓜", "Reverse this: one two three", "3+4"] as const;
const GREEDY = { temperature: 0, max_tokens: 16 };

describe.skipIf(!hasBrowser)("a conversation between Node and Chromium", () => {
  let folder: string;
  const sources = useSources();
  let host: DawnHost;
  let engine: Engine;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "ziya-talk-"));
    // The sources as they are: the page that is built has no conversations.
    host = dawnHost();
    const model = openFolder(join(packageRoot, "models", "ziya-tiny"));
    engine = await loadEngine(host, model, testDeviceOptions());
  });

  afterAll(async () => {
    engine?.destroy();
    host?.release();
    if (folder) await rm(folder, { recursive: true });
  });

  /** What the page says to a question in a conversation that was saved, and that conversation, saved again. */
  async function answerInPage(saved: Buffer, question: string) {
    const page = await sources.browser.newPage();
    await page.route("**/saved", (route) => route.fulfill({ body: saved }));
    await page.goto(sources.server.blank);
    // What the page runs is text, so that Vitest does not put names of its own into it.
    const talk = `(async ({ question, options, sources }) => {
      const { loadEngine } = await import(sources + "web/index.ts");
      const engine = await loadEngine("models/ziya-tiny/", { decode: "f32 4x2", chunk: 32 });
      const conversation = await engine.restore(await (await fetch("saved")).blob());
      const { text, usage } = await conversation.say(question, options).complete();
      const bytes = new Uint8Array(await (await conversation.save()).arrayBuffer());
      engine.destroy();
      return { text, usage, bytes: Array.from(bytes, (byte) => String.fromCharCode(byte)).join("") };
    })(${JSON.stringify({ question, options: GREEDY, sources: sources.server.address("") })})`;
    const got = (await page.evaluate(talk)) as {
      text: string;
      usage: Awaited<ReturnType<typeof sayHere>>["usage"];
      bytes: string;
    };
    await page.close();
    return { ...got, saved: Buffer.from(got.bytes, "latin1") };
  }

  const sayHere = (conversation: Conversation, text: string) => conversation.say(text, GREEDY).complete();

  test("goes on there and back as it does in one place", async () => {
    const conversation = engine.conversation();
    await sayHere(conversation, QUESTIONS[0]);
    const file = join(folder, "talk");
    await saveConversation(conversation, file);
    const wanted = [await sayHere(conversation, QUESTIONS[1]), await sayHere(conversation, QUESTIONS[2])];

    const there = await answerInPage(await readFile(file), QUESTIONS[1]);
    expect(there.text).toBe(wanted[0]!.text);
    expect(there.usage).toEqual(wanted[0]!.usage);
    expect(there.usage.cached_tokens).toBeGreaterThan(10);

    // An engine that has heard nothing of it.
    const other = await loadEngine(
      host,
      openFolder(join(packageRoot, "models", "ziya-tiny")),
      testDeviceOptions(),
    );
    const back = await other.restore(new Blob([new Uint8Array(there.saved)]));
    const last = await sayHere(back, QUESTIONS[2]);
    expect(last.text).toBe(wanted[1]!.text);
    expect(last.usage).toEqual(wanted[1]!.usage);
    expect(back.messages).toEqual(conversation.messages);
    const own = await other.restore(await fileSource(file));
    expect((await sayHere(own, QUESTIONS[1])).text).toBe(wanted[0]!.text);
    other.destroy();
  }, 180_000);
});
