import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { expectBrowser, hasBrowser, launchBrowser } from "../support/browser.ts";
import { type BuiltPage, buildPage, complaints, hurry, say, watch } from "../support/page.ts";

expectBrowser();

describe.skipIf(!hasBrowser)("the page without a network, in Chromium", () => {
  let built: BuiltPage;
  let browser: Browser;
  let context: BrowserContext;

  beforeAll(async () => {
    built = await buildPage("fake");
    browser = await launchBrowser();
  });

  afterEach(() => context?.close());

  afterAll(async () => {
    await browser?.close();
    await built?.close();
  });

  const visit = async (): Promise<Page> => {
    const page = await context.newPage();
    watch(page);
    await page.addInitScript(
      "globalThis.fake = { answers: { long: 'word '.repeat(200) }, delay: 100, calls: [] }",
    );
    await page.goto(built.address);
    await page.locator("[data-model=ready]").waitFor();
    return page;
  };
  /** Waits until a service worker has all files and answers for the page. */
  const installed = async (page: Page) => {
    await page.evaluate(async () => {
      await navigator.serviceWorker.ready;
    });
    await page.waitForFunction(() => navigator.serviceWorker.controller?.state === "activated");
  };

  test("opens again after the first visit, also under an address with a query, and answers", async () => {
    context = await browser.newContext({ locale: "en-US" });
    const first = await visit();
    await installed(first);
    await say(first, "before");
    await first.close();
    built.offline(true);
    try {
      const page = await visit();
      expect(await page.locator(".talk").allInnerTexts()).toEqual(["before"]);
      expect(await say(page, "after")).toBe("after");
      await page.goto(`${built.address}?utm_source=x#max_tokens=9`);
      await page.locator("[data-model=ready]").waitFor();
      expect(await page.locator(".talk").count()).toBe(2);
    } finally {
      built.offline(false);
    }
  });

  test("changes to a new version when the person wants it and no answer runs, and loses nothing", async () => {
    context = await browser.newContext({ locale: "en-US" });
    const page = await visit();
    await installed(page);
    await say(page, "kept");
    await page.locator("#question").fill("a draft");
    await built.rebuild("Another version");
    await page.evaluate(async () => (await navigator.serviceWorker.getRegistration())?.update());
    const update = page.locator(".notice").getByRole("button", { name: "Update" });
    await update.waitFor();
    // The old one still answers for the page.
    expect(await (await page.request.get(built.address)).text()).toContain("Another version");
    expect(await page.evaluate(async () => (await fetch("./")).text())).not.toContain("Another version");
    await page.locator("#question").fill("long");
    await page.locator("#question").press("Enter");
    await page.locator("[data-running] .markdown", { hasText: "word word" }).waitFor();
    await page.locator("#question").fill("a draft");
    const reloaded = page.waitForEvent("load");
    await update.click();
    expect(await page.locator("html").getAttribute("data-state")).not.toBe("idle");
    await hurry(page, { delay: 0 });
    await reloaded;
    await page.locator("[data-model=ready]").waitFor();
    expect(await page.evaluate(async () => (await fetch("./")).text())).toContain("Another version");
    const answers = await page.locator(".answer .markdown").allInnerTexts();
    expect(answers.map(({ length }) => length)).toEqual([4, 999]);
    expect(await page.locator("#question").inputValue()).toBe("a draft");
    const caches = await page.evaluate(async () => (await window.caches.keys()).length);
    expect(caches).toBe(1);
  });

  test("has thrown no error of its own", () => {
    expect(complaints).toEqual([]);
  });
});
