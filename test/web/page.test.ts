import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { build, type PreviewServer, preview } from "vite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openFolder } from "../../node/files.ts";
import { type DawnHost, dawnHost, packageRoot } from "../../node/host.ts";
import { type Engine, loadEngine } from "../../src/index.ts";
import { beforeWorkers, expectBrowser, hasBrowser, launchBrowser } from "../support/browser.ts";
import { testDeviceOptions } from "../support/gpu.ts";

const PROMPTS = [
  "你好,你是谁?",
  "Who are you?",
  "3+4",
  "What is 12 plus 7?",
  "重复:苹果 香蕉 西瓜",
  "Reverse this: one two three",
  "翻译成英文:苹果",
  "法国的首都是哪里?",
  "What is the opposite of hot?",
  "判断情感:这部电影非常好看。",
];

/** The longest answer that is compared, in tokens: a limit for a browser that computes on two cores. */
const MAX_TOKENS = 16;

expectBrowser();

describe.skipIf(!hasBrowser)("the page, in Chromium", () => {
  let folder: string;
  let server: PreviewServer;
  let address: string;
  let browser: Browser;
  let host: DawnHost;
  let engine: Engine;
  let page: Page;
  const thrown: Error[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "ziya-page-"));
    const outDir = join(folder, "dist");
    const configFile = join(packageRoot, "vite.config.ts");
    await build({ configFile, logLevel: "warn", build: { outDir, emptyOutDir: true } });
    server = await preview({ configFile, build: { outDir }, preview: { host: "127.0.0.1", port: 0 } });
    address = server.resolvedUrls!.local[0]!;
    browser = await launchBrowser();
    host = dawnHost();
    engine = await loadEngine(
      host,
      openFolder(join(packageRoot, "models", "ziya-tiny")),
      testDeviceOptions(),
    );
    page = await open();
  });

  afterAll(async () => {
    engine?.destroy();
    host?.release();
    await browser?.close();
    await server?.close();
    if (folder) await rm(folder, { recursive: true });
  });

  /** A fresh page that fails its test when a script of it throws. */
  async function open(prepare?: (page: Page) => Promise<unknown>): Promise<Page> {
    const page = await browser.newPage();
    page.on("pageerror", (error) => thrown.push(error));
    await prepare?.(page);
    await page.goto(address);
    // A software adapter compiles the kernels for seconds.
    await page.locator("main:not([data-state=loading])").waitFor({ timeout: 90_000 });
    return page;
  }

  /** Asks with generation options in the fragment of the page's address, and waits for the end of the answer. */
  async function ask(question: string, options: string, query = ""): Promise<string> {
    const address = `?${query}#${options}`;
    await page.evaluate((address) => history.replaceState(null, "", address), address);
    await page.getByLabel("Ask in").fill(question);
    await page.getByRole("button", { name: "Ask" }).click();
    await page.locator("main[data-state=ready]").waitFor({ timeout: 90_000 });
    return page.locator("#answer").innerText();
  }

  test.each(PROMPTS)("answers %s with the greedy tokens of Node", async (content) => {
    const { text, usage } = await engine
      .chat([{ role: "user", content }], { temperature: 0, max_tokens: MAX_TOKENS })
      .complete();
    expect(text).not.toBe("");
    expect(await ask(content, `temperature=0&max_tokens=${MAX_TOKENS}`)).toBe(text);
    expect(await page.getByRole("status").innerText()).toContain(`${usage.completion_tokens} tokens`);
  });

  test("stops an answer where it is, and answers again", async () => {
    const question = PROMPTS[0]!;
    const options = `temperature=0&max_tokens=${MAX_TOKENS}`;
    const whole = await ask(question, options);
    await page.evaluate(() => {
      const answer = document.querySelector("#answer")!;
      new MutationObserver((_, observer) => {
        if (answer.textContent === "") return;
        observer.disconnect();
        document.querySelector<HTMLButtonElement>("#stop")!.click();
      }).observe(answer, { childList: true });
    });
    const part = await ask(question, options);
    expect(part).not.toBe("");
    expect(part.length).toBeLessThan(whole.length);
    expect(whole.startsWith(part)).toBe(true);
    expect(await page.getByRole("status").innerText()).toContain("Stopped after");
    expect(await page.getByRole("button", { name: "Stop" }).isDisabled()).toBe(true);
    expect(await ask(question, options)).toBe(whole);
  });

  test("asks on Enter and breaks the line on Shift+Enter", async () => {
    const box = page.getByLabel("Ask in");
    await ask("3+4", "temperature=0&max_tokens=1");
    await box.press("Shift+Enter");
    expect(await box.inputValue()).toBe("3+4\n");
    await box.press("Enter");
    await page.locator("main[data-state=answering]").waitFor();
    await page.locator("main[data-state=ready]").waitFor();
    expect(await box.inputValue()).toBe("3+4\n");
  });

  test.each([
    ["colour=1", "colour"],
    ["temperature=-1", "temperature"],
  ])("shows why the option of #%s is refused, and goes on", async (options, name) => {
    await ask("3+4", options);
    expect(await page.getByRole("alert").innerText()).toContain(name);
    await ask("3+4", "temperature=0&max_tokens=1");
    expect(await page.getByRole("alert").isVisible()).toBe(false);
  });

  test("answers whatever others put into the query of its address", async () => {
    await ask("3+4", "temperature=0&max_tokens=1", "utm_source=x&temperature=-1");
    expect(await page.getByRole("alert").isVisible()).toBe(false);
    expect(await page.getByRole("status").innerText()).toContain("1 tokens");
  });

  test("says what to do where the browser offers no WebGPU", async () => {
    const bare = await open((page) =>
      beforeWorkers(
        page,
        "Object.defineProperty(WorkerNavigator.prototype, 'gpu', { get: () => undefined })",
      ),
    );
    expect(await bare.getByRole("alert").innerText()).toMatch(
      /^This browser offers no WebGPU.*: use a current /,
    );
    expect(await bare.getByRole("button", { name: "Ask" }).isDisabled()).toBe(true);
    await bare.close();
  });

  test("says what to do in this browser where WebGPU finds no adapter", async () => {
    const bare = await open((page) => beforeWorkers(page, "GPU.prototype.requestAdapter = async () => null"));
    expect(await bare.getByRole("alert").innerText()).toMatch(
      /^WebGPU found no adapter\. Switch hardware acceleration on in the browser's settings, /,
    );
    await bare.close();
  });

  test("has thrown no error of its own", () => {
    expect(thrown).toEqual([]);
  });
});
