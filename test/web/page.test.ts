import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openFolder } from "../../node/files.ts";
import { type DawnHost, dawnHost, packageRoot } from "../../node/host.ts";
import { type Engine, loadEngine } from "../../src/index.ts";
import { beforeWorkers, expectBrowser, hasBrowser, launchBrowser } from "../support/browser.ts";
import { testDeviceOptions } from "../support/gpu.ts";
import {
  answered,
  type BuiltPage,
  buildPage,
  complaints,
  LONG_TASK_MS,
  longestTask,
  say,
  watch,
} from "../support/page.ts";

const PROMPTS = ["你好,你是谁?", "What is 12 plus 7?", "Reverse this: one two three"];

/** The longest answer that is compared, in tokens: a limit for a browser that computes on two cores. */
const MAX_TOKENS = 16;

expectBrowser();

describe.skipIf(!hasBrowser)("the page with its model, in Chromium", () => {
  let built: BuiltPage;
  let browser: Browser;
  let host: DawnHost;
  let engine: Engine;
  let page: Page;
  /** Milliseconds of the longest task while the page loaded and gave its first answer. */
  let longest: number;

  beforeAll(async () => {
    built = await buildPage("real");
    browser = await launchBrowser();
    host = dawnHost();
    const model = openFolder(`${packageRoot}/models/ziya-tiny`);
    engine = await loadEngine(host, model, testDeviceOptions());
    const context = await browser.newContext({ locale: "en-US" });
    page = await context.newPage();
    watch(page);
    longest = await longestTask(browser, page, async () => {
      await page.goto(`${built.address}#temperature=0&max_tokens=${MAX_TOKENS}`);
      // A software adapter compiles the kernels for seconds.
      await page.locator("[data-model=ready]").waitFor({ timeout: 90_000 });
      await say(page, PROMPTS[0]!);
    });
  });

  afterAll(async () => {
    engine?.destroy();
    host?.release();
    await browser?.close();
    await built?.close();
  });

  async function open(hash = "", prepare?: (page: Page) => Promise<unknown>): Promise<Page> {
    const context = await browser.newContext({ locale: "en-US", serviceWorkers: "block" });
    const page = await context.newPage();
    watch(page);
    await prepare?.(page);
    await page.goto(built.address + hash);
    return page;
  }

  test.each(PROMPTS)("answers %s with the greedy tokens of Node", async (content) => {
    const { text, usage } = await engine
      .chat([{ role: "user", content }], { temperature: 0, max_tokens: MAX_TOKENS })
      .complete();
    expect(text).not.toBe("");
    await page.locator("#new").click();
    expect(await say(page, content)).toBe(text);
    expect(await page.locator(".answer .note").innerText()).toContain(`${usage.completion_tokens} token`);
  });

  test("stops an answer where it is, and gives it again whole", async () => {
    await page.locator("#new").click();
    const whole = await say(page, PROMPTS[0]!);
    await page.evaluate(() => {
      new MutationObserver((_, observer) => {
        if (!document.querySelector("[data-running] .markdown")?.textContent) return;
        observer.disconnect();
        document.querySelector<HTMLElement>("#stop")!.click();
      }).observe(document.querySelector("#turns")!, { childList: true, subtree: true });
    });
    await page.locator("[data-again]").last().click();
    await page.locator(".answer .note", { hasText: "Stopped" }).waitFor();
    const part = await page.locator(".answer .markdown").innerText();
    expect(part).not.toBe("");
    expect(part.length).toBeLessThan(whole.length);
    expect(whole.startsWith(part)).toBe(true);
    await page.locator("[data-again]").last().click();
    await answered(page);
    expect(await page.locator(".answer .markdown").innerText()).toBe(whole);
  });

  test("answers whatever others put into the query of its address", async () => {
    await page.evaluate(() =>
      history.replaceState(null, "", "?utm_source=x&temperature=-1#temperature=0&max_tokens=2"),
    );
    await page.locator("#new").click();
    await say(page, "3+4");
    expect(await page.locator(".answer .note").innerText()).toContain("2 tokens");
    expect(await page.locator(".problem").count()).toBe(0);
  });

  test.each([
    ["colour=1", "colour"],
    ["temperature=-1", "temperature"],
  ])("shows why the option of #%s is refused, and goes on", async (options, name) => {
    await page.locator("#new").click();
    await page.evaluate((options) => history.replaceState(null, "", `#${options}`), options);
    await page.locator("#question").fill("3+4");
    await page.locator("#question").press("Enter");
    await page.locator("[data-problem=option]").waitFor();
    expect(await page.locator(".problem .detail").innerText()).toContain(name);
    await page.evaluate(() => history.replaceState(null, "", "#temperature=0&max_tokens=2"));
    await page.locator(".problem .primary").click();
    await page.locator(".answer .note:not(:empty)").waitFor();
    expect(await page.locator(".problem").count()).toBe(0);
  });

  test.each([
    [
      "no-webgpu",
      "This browser offers no WebGPU",
      'Object.defineProperty(WorkerNavigator.prototype, "gpu", { get: () => undefined })',
    ],
    [
      "no-adapter",
      "WebGPU found no adapter",
      'Object.defineProperty(GPU.prototype, "requestAdapter", { value: async () => null })',
    ],
  ])("says what to do where there is %s, and has a way on", async (problem, words, code) => {
    const bare = await open("", async (page) => {
      await page.addInitScript(code.replace("WorkerNavigator", "Navigator"));
      await beforeWorkers(page, code);
    });
    const card = bare.locator(`[data-problem=${problem}]`);
    await card.waitFor();
    expect(await card.innerText()).toContain("hardware acceleration");
    expect(await card.locator(".detail").innerText()).toContain(words);
    expect(await card.getByRole("button", { name: "Try again" }).isEnabled()).toBe(true);
    await card.getByRole("button", { name: "Choose another model" }).click();
    await bare.getByRole("dialog", { name: "Models" }).waitFor();
    await bare.unrouteAll({ behavior: "ignoreErrors" });
    await bare.context().close();
  });

  test("asks another server what a model of it would take, as its policy lets the worker do", async () => {
    const elsewhere = await browser.newContext({ locale: "en-US", serviceWorkers: "block" });
    const other = await elsewhere.newPage();
    watch(other);
    await other.goto(built.address.replace("127.0.0.1", "localhost"));
    await other.locator("#model").click();
    await other.locator("#model-address").fill(`${built.address}models/ziya-tiny/`);
    await other.locator("#model-address").press("Enter");
    await other.locator(".needs", { hasText: "11.8 MB" }).waitFor();
    await elsewhere.close();
  });

  test("loads and answers in tasks under 50 ms", () => {
    expect(longest).toBeGreaterThan(0);
    expect(longest).toBeLessThan(LONG_TASK_MS);
  });

  test("has its model without a network after its first visit", async () => {
    await page.waitForFunction(() => navigator.serviceWorker.controller?.state === "activated");
    built.offline(true);
    await page.reload();
    // Its files are here then; what it answers is that of the first visit.
    await page.getByText("Making the GPU ready for ziya-tiny").waitFor();
  });

  test("has thrown no error of its own", () => {
    expect(complaints).toEqual([]);
  });
});
