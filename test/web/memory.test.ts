import type { CDPSession, Page } from "playwright-core";
import { beforeAll, describe, expect, test } from "vitest";
import type { BenchmarkReport } from "../../web/api.ts";
import { beforeWorkers, expectBrowser, hasBrowser, useSources } from "../support/browser.ts";

expectBrowser();

/** A soak has 500: `MEMORY_ANSWERS=500 npx vitest run test/web/memory.test.ts`. */
const SOAK = process.env.MEMORY_ANSWERS;
const ANSWERS = Number(SOAK ?? 12);
/** Answers by which all is there that is made once; in a soak, as many that V8 has optimised what it will, and noted what it does. */
const WARM_UP = SOAK ? 300 : 12;
/** By how much heaps come and go: of Node's over 1,200 answers, up to 0.3 MB. The first few hundred make them larger. */
const HEAP_NOISE = SOAK ? 300_000 : 1_000_000;

/** Has a worker tell how many GPU objects it made, and what of its buffers was not destroyed. */
const COUNT = `
  const counts = { made: 0, buffers: 0, bytes: 0 };
  const count = (name, note) => {
    const make = GPUDevice.prototype[name];
    GPUDevice.prototype[name] = function (...args) {
      const made = make.apply(this, args);
      counts.made++;
      note?.(made);
      return made;
    };
  };
  for (const name of ["createBindGroup", "createShaderModule", "createComputePipelineAsync"]) count(name);
  const live = new Set();
  count("createBuffer", (buffer) => {
    live.add(buffer);
    counts.buffers++;
    counts.bytes += buffer.size;
  });
  const { destroy } = GPUBuffer.prototype;
  GPUBuffer.prototype.destroy = function () {
    if (live.delete(this)) {
      counts.buffers--;
      counts.bytes -= this.size;
    }
    destroy.call(this);
  };
  const channel = new BroadcastChannel("counts");
  channel.onmessage = ({ data }) => data === "tell" && channel.postMessage(counts);`;

/** Gives the files of ziya-tiny's first layer alone: a model of everything that there is, in a sixth of the time. */
const SMALL = `
  const open = async (name) => new File([await (await fetch("models/ziya-tiny/" + name)).blob()], name);
  const firstLayer = async (weights) => {
    const bytes = await weights.arrayBuffer();
    const start = 8 + Number(new DataView(bytes).getBigUint64(0, true));
    const header = {}, parts = [];
    let at = 0;
    for (const [name, tensor] of Object.entries(JSON.parse(new TextDecoder().decode(bytes.slice(8, start))))) {
      if (/layers\\.[1-9]|__metadata__/.test(name)) continue;
      const [from, to] = tensor.data_offsets;
      parts.push(bytes.slice(start + from, start + to));
      header[name] = { ...tensor, data_offsets: [at, (at += to - from)] };
    }
    const json = JSON.stringify(header);
    return new File([new BigUint64Array([BigInt(json.length)]), json, ...parts], weights.name);
  };
  const config = JSON.parse(await (await open("config.json")).text());
  const files = [
    new File([JSON.stringify({ ...config, num_hidden_layers: 1 })], "config.json"),
    await firstLayer(await open("model.safetensors")),
    ...(await Promise.all(["tokenizer.model", "tokenizer_config.json", "added_tokens.json"].map(open))),
  ];`;

interface Counts {
  readonly made: number;
  readonly buffers: number;
  readonly bytes: number;
}

/** The V8 heaps of a page and of its one worker. */
class Heaps {
  private readonly session: CDPSession;
  private readonly worker: Promise<string>;
  private readonly answers = new Map<number, (result: { usedSize: number }) => void>();
  private asked = 0;

  constructor(session: CDPSession) {
    this.session = session;
    session.on("Target.receivedMessageFromTarget", ({ message }) => {
      const { id, result } = JSON.parse(message) as { id: number; result: { usedSize: number } };
      this.answers.get(id)?.(result);
    });
    this.worker = new Promise((resolve) => {
      session.on("Target.attachedToTarget", ({ sessionId }) => resolve(sessionId));
    });
  }

  async attach(): Promise<void> {
    // Messages within messages: Playwright has no sessions for workers.
    await this.session.send("Target.setAutoAttach", {
      autoAttach: true,
      waitForDebuggerOnStart: false,
      flatten: false,
    });
    await this.worker;
  }

  /** Bytes in use after all garbage was collected. */
  async used(): Promise<{ page: number; worker: number }> {
    await this.session.send("HeapProfiler.collectGarbage");
    await this.askWorker("HeapProfiler.collectGarbage");
    const { usedSize: page } = await this.session.send("Runtime.getHeapUsage");
    const { usedSize: worker } = await this.askWorker("Runtime.getHeapUsage");
    return { page, worker };
  }

  private async askWorker(method: string): Promise<{ usedSize: number }> {
    const id = ++this.asked;
    const answer = new Promise<{ usedSize: number }>((resolve) => this.answers.set(id, resolve));
    const message = JSON.stringify({ id, method });
    await this.session.send("Target.sendMessageToTarget", { message, sessionId: await this.worker });
    return answer;
  }
}

describe.skipIf(!hasBrowser)("a page and its engine", () => {
  const sources = useSources();
  let page: Page;
  let heaps: Heaps;

  beforeAll(async () => {
    page = await sources.browser.newPage();
    await beforeWorkers(page, COUNT);
    await page.goto(sources.server.blank);
    heaps = new Heaps(await page.context().newCDPSession(page));
    await run(`
      ${SMALL}
      globalThis.ziya = await import(${JSON.stringify(sources.server.address("web/index.ts"))});
      globalThis.engine = await ziya.loadEngine({ files }, { decode: "f32 4x2", chunk: 32 });
      globalThis.counts = () => new Promise((resolve) => {
        const channel = new BroadcastChannel("counts");
        channel.onmessage = ({ data }) => { channel.close(); resolve(data); };
        channel.postMessage("tell");
      });
      // Chats read to their ends, left after a piece and turn after turn, and as many that continue a token: those run quickly.
      globalThis.answer = async (from, to) => {
        let talk = engine.conversation();
        for (let i = from; i < to; i++) {
          const content = i % 90 + "+" + (i * 7) % 90 + "=?";
          const options = { temperature: 0, max_tokens: 4 };
          const controller = new AbortController();
          const stream =
            i % 6 === 5 ? talk.say(content, options)
            : i % 6 > 2 ? engine.chat([{ role: "user", content }], options)
            : engine.generate([300 + i % 1000], { ...options, signal: controller.signal });
          if (i % 3 === 0) await stream.complete();
          else for await (const piece of stream) if (i % 3 === 1) break; else if (i % 6 === 2) controller.abort();
          if (i % 60 === 0) talk = engine.conversation();
        }
      };`);
    await heaps.attach();
    // What is read back has its place from the first answer on.
    await run("await answer(0, 1);");
  });

  function run<Result>(statements: string): Promise<Result> {
    return page.evaluate(`(async () => { ${statements} })()`) as Promise<Result>;
  }

  const measure = async () => ({ counts: await run<Counts>("return counts();"), heap: await heaps.used() });

  test(
    `${ANSWERS} answers leave memory where it was`,
    async () => {
      await run(`await answer(0, ${WARM_UP});`);
      const before = await measure();
      await run(`await answer(${WARM_UP}, ${WARM_UP + ANSWERS});`);
      const after = await measure();
      if (SOAK) console.log(JSON.stringify({ before, after }));
      expect(before.counts.buffers).toBeGreaterThan(10);
      // Nothing is made for a token, or for an answer.
      expect(after.counts).toEqual(before.counts);
      expect(after.heap.worker - before.heap.worker).toBeLessThan(HEAP_NOISE);
      expect(after.heap.page - before.heap.page).toBeLessThan(HEAP_NOISE);
    },
    120_000 + 5000 * (WARM_UP + ANSWERS),
  );

  test("a page that is written for Chrome's Prompt API runs", async () => {
    const got = await run<Record<string, unknown>>(`
      // The browser's own, where it has one, is not what is tested.
      delete globalThis.LanguageModel;
      globalThis.LanguageModel ??= ziya.createLanguageModel(engine);
      const loaded = [];
      const options = { samplingMode: "most-predictable", initialPrompts: [{ role: "user", content: "3+4" }, { role: "assistant", content: "7" }] };
      const monitor = (monitor) => monitor.addEventListener("downloadprogress", (event) => loaded.push(event));
      const session = await LanguageModel.create({ ...options, monitor });
      const measured = session.contextUsage + await session.measureContextUsage("1+1");
      const chat = engine.chat([...options.initialPrompts, { role: "user", content: "1+1" }], { temperature: 0, max_tokens: 4 });
      const wanted = await chat.complete();
      let text = "";
      for await (const piece of session.promptStreaming("1+1")) {
        text += piece;
        if (text.length >= wanted.text.length) break;
      }
      const error = await session.prompt("好".repeat(1000)).catch((error) => error);
      return {
        same: text === wanted.text, measured, prompt: wanted.usage.prompt_tokens, availability: await LanguageModel.availability(),
        loaded: loaded.map((event) => event instanceof ProgressEvent && event.loaded), instance: session instanceof LanguageModel,
        error: [error.name, error instanceof DOMException, error.quota, globalThis.QuotaExceededError ? error instanceof QuotaExceededError : true],
      };`);
    expect(got).toMatchObject({
      same: true,
      availability: "available",
      loaded: [0, 1],
      instance: true,
      error: ["QuotaExceededError", true, 512, true],
    });
    expect(got.measured).toBe(got.prompt);
  });

  test("a benchmark leaves memory where it was", async () => {
    const { bytes, buffers } = (await measure()).counts;
    const { report, progress } = await run<{ report: BenchmarkReport; progress: number[] }>(`
      const progress = [];
      const report = await engine.benchmark({ onProgress: (done) => progress.push(done) });
      return { report, progress };`);
    expect(report.model).toBe(await run("return engine.info.name;"));
    expect(report.kernels.length).toBeGreaterThan(10);
    expect(progress.at(-1)).toBe(1);
    expect(await run("return counts();")).toMatchObject({ bytes, buffers });
  });
});
