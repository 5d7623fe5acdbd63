import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { convert } from "../../node/convert/convert.ts";
import { openFolder } from "../../node/files.ts";
import { type DawnHost, dawnHost, packageRoot } from "../../node/host.ts";
import { type Engine, loadEngine } from "../../src/index.ts";
import { beforeWorkers, expectBrowser, hasBrowser, launchBrowser } from "../support/browser.ts";
import { contents } from "../support/convert.ts";
import { testDeviceOptions } from "../support/gpu.ts";
import {
  answered,
  type BuiltPage,
  buildPage,
  complaints,
  LONG_TASK_MS,
  leastOf,
  longestTask,
  say,
  watch,
} from "../support/page.ts";
import { type Release, writeRelease } from "../support/release.ts";

const PROMPTS = ["你好,你是谁?", "What is 12 plus 7?", "Reverse this: one two three"];

/** SHA-256 of the files that the browser's storage has of the model delta-q4, by name. Of the page: text, as all that runs there. */
const SUMS = `(async () => {
  let folder = await navigator.storage.getDirectory();
  for (const name of ["ziya-webgpu", "models", "delta-q4", "files"]) folder = await folder.getDirectoryHandle(name);
  const sums = [];
  for await (const [name, handle] of folder.entries()) {
    const sum = await crypto.subtle.digest("SHA-256", await (await handle.getFile()).arrayBuffer());
    sums.push([name, Array.from(new Uint8Array(sum), (byte) => byte.toString(16).padStart(2, "0")).join("")]);
  }
  return Object.fromEntries(sums.sort());
})()`;

/** Of the hash that the page has. */
const GREEDY = { temperature: 0, max_tokens: 2 };

/** The longest answer that is compared, in tokens: a limit for a browser that computes on two cores. */
const MAX_TOKENS = 16;

/** Drops folders of the disk on the page, as a file manager does. */
async function dropFolders(page: Page, paths: readonly string[]): Promise<void> {
  const client = await page.context().newCDPSession(page);
  const data = { items: [], files: [...paths], dragOperationsMask: 1 };
  for (const type of ["dragEnter", "dragOver", "drop"] as const)
    await client.send("Input.dispatchDragEvent", { type, x: 400, y: 300, data });
}

expectBrowser();

describe.skipIf(!hasBrowser)("the page with its model, in Chromium", () => {
  let built: BuiltPage;
  let browser: Browser;
  let host: DawnHost;
  let engine: Engine;
  let page: Page;
  let first: string;
  /** Whom the page, its workers and its service worker have asked. */
  const requests: string[] = [];
  /** Milliseconds of the longest task while the page loaded and gave its first answer. */
  let longest: number;

  beforeAll(async () => {
    built = await buildPage("real");
    browser = await launchBrowser();
    host = dawnHost();
    const model = openFolder(`${packageRoot}/models/ziya-tiny`);
    engine = await loadEngine(host, model, testDeviceOptions());
    const context = await browser.newContext({ locale: "en-US" });
    context.on("request", (request) => requests.push(request.url()));
    page = await context.newPage();
    watch(page);
    longest = await longestTask(browser, page, async () => {
      first = await firstVisit(page);
    });
  });

  /** Loads the model, and gives the first answer. */
  async function firstVisit(page: Page): Promise<string> {
    await page.goto(`${built.address}#temperature=0&max_tokens=${MAX_TOKENS}`);
    // A software adapter compiles the kernels for seconds.
    await page.locator("[data-model=ready]").waitFor({ timeout: 90_000 });
    return say(page, PROMPTS[0]!);
  }

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
    if (content === PROMPTS[0]) expect(first).toBe(text);
    else {
      await page.locator("#new").click();
      expect(await say(page, content)).toBe(text);
    }
    expect(await page.locator(".answer .note").innerText()).toContain(`${usage.completion_tokens} token`);
  });

  test("stops an answer where it is, and gives it again whole", async () => {
    const whole = await page.locator(".answer .markdown").innerText();
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

  test("shows what it runs on, and how fast that was", async () => {
    await page.locator("#panel-button").click();
    const panel = page.locator("#panel");
    expect(await panel.locator("dd").first().innerText()).toMatch(/swiftshader/i);
    expect(await panel.locator("dl").innerText()).toMatch(/weights [\d.]+ MB, context [\d.]+ [kM]B/);
    for (const figure of await panel.locator(".rate strong").allInnerTexts())
      expect(Number(figure.replace(",", ""))).toBeGreaterThan(0);
    await panel.getByText(/First token after [\d,]+ ms/).waitFor();
    await page.locator("#panel-button").click();
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

  describe("a release that is dropped on it", () => {
    let folder = "";
    let release: Release;
    beforeAll(async () => {
      folder = await mkdtemp(join(tmpdir(), "ziya-dropped-"));
      release = await writeRelease(folder, { num_hidden_layers: 1 });
      const template = "{% for message in messages %}{{ message['content'] }}{% endfor %}";
      await writeFile(
        join(release.delta, "tokenizer_config.json"),
        JSON.stringify({ chat_template: template }),
      );
    });
    afterAll(() => rm(folder, { recursive: true, force: true }));

    test("is merged and packed as Node does it, kept, loaded, and answers", async () => {
      const { base, delta } = release;
      await dropFolders(page, [base, delta]);
      const form = page.locator("form.add", { hasText: "The delta is" });
      await form.locator(".needs").getByText("To be written").waitFor();
      expect(await form.locator("select").first().locator("option:checked").innerText()).toBe("delta");
      const shown = await page.evaluateHandle(() => {
        const shown = new Set<string>();
        const running = document.querySelector(".transfers")!;
        new MutationObserver(() => shown.add(running.textContent!)).observe(running, {
          childList: true,
          characterData: true,
          subtree: true,
        });
        return shown;
      });
      await form.getByRole("button", { name: "Merge and pack" }).click();
      await page.locator("#models").getByRole("button", { name: "Use delta-q4" }).waitFor();
      const words = await shown.evaluate((shown) => [...shown].join());
      for (const progress of [/Packing delta-q4[\d.]+ [kM]?B of [\d.]+ [kM]B/, /Checking delta-q4/])
        expect(words).toMatch(progress);
      const parts = { base: { kind: "folder", path: base }, delta: { kind: "folder", path: delta } } as const;
      const out = join(folder, "out");
      await convert({ inputs: parts, weights: "q4", out, workers: 1 });
      expect(await page.evaluate<Record<string, string>>(SUMS)).toEqual(await contents(out));

      await page.getByRole("button", { name: "Use delta-q4" }).click();
      await page.locator("[data-model=loading]").waitFor();
      await page.locator("[data-model=ready]").waitFor({ timeout: 90_000 });
      expect(await page.locator(".model-name").innerText()).toBe("delta-q4");
      await page.locator("#new").click();
      const answer = await say(page, "一");
      const node = await loadEngine(host, openFolder(out), testDeviceOptions());
      const wanted = await node.chat([{ role: "user", content: "一" }], GREEDY).complete();
      node.destroy();
      expect(wanted.text).not.toBe("");
      // What a model of random weights says may be bytes that nothing shows.
      const visible = (text: string) => text.replace(/\p{Cc}/gu, "").trim();
      expect(visible(answer)).toBe(visible(wanted.text));
    });
  });

  test("loads and answers in tasks under 50 ms", async () => {
    expect(longest).toBeGreaterThan(0);
    const again = async () => {
      const context = await browser.newContext({ locale: "en-US" });
      const other = await context.newPage();
      const milliseconds = await longestTask(browser, other, () => firstVisit(other));
      await context.close();
      return milliseconds;
    };
    expect(await leastOf(again, longest)).toBeLessThan(LONG_TASK_MS);
  });

  test("has asked nobody but the server that it came from", () => {
    const others = requests.filter((url) => !url.startsWith(built.address) && !url.startsWith("blob:"));
    expect(others).toEqual([]);
    expect(requests.some((url) => url.endsWith("/model.safetensors"))).toBe(true);
  });

  test("has its models without a network after its first visit", async () => {
    await page.waitForFunction(() => navigator.serviceWorker.controller?.state === "activated");
    built.offline(true);
    await page.reload();
    // Their files are here then; what they answer is that of the first visit.
    await page.getByText("Making the GPU ready for delta-q4").waitFor();
    await page.locator("#model").click();
    await page.getByRole("button", { name: "Use ziya-tiny" }).click();
    await page.getByText("Making the GPU ready for ziya-tiny").waitFor();
  });

  test("has thrown no error of its own", () => {
    expect(complaints).toEqual([]);
  });
});
