import { readdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expectBrowser, hasBrowser, launchBrowser } from "../support/browser.ts";
import type { Fake } from "../support/fake-engine.ts";
import {
  answered,
  type BuiltPage,
  buildPage,
  complaints,
  LONG_TASK_MS,
  leastOf,
  longestTask,
  openFake,
  say,
} from "../support/page.ts";

expectBrowser();

/** Bytes of the page's files together, gzipped, without the model. */
const MOST_BYTES = 300_000;
const PHONE = { viewport: { width: 390, height: 700 }, hasTouch: true, isMobile: true };

const ANSWER =
  "# Heading\n\nA paragraph with `code`, a [link](https://example.org).\n\n```ts\nlet a = 1;\n```\n\n| a | b |\n| - | - |\n| 1 | 2 |";
const STORED = [
  {
    name: "ziya-tiny",
    whole: true,
    done: 11_800_000,
    total: 11_800_000,
    withheld: ["chat_template.jinja"],
    changed: 0,
  },
  { name: "half", whole: false, done: 1e9, total: 3e9, url: "https://example.org/half/", changed: 0 },
];

/** What the page is brought to, by name. */
const STATES: Record<string, { fake?: Fake; reach: (page: Page) => Promise<unknown> }> = {
  welcome: { reach: (page) => page.locator("[data-model=ready]").waitFor() },
  loading: { fake: { loading: 60_000 }, reach: (page) => page.locator("progress[value]").waitFor() },
  failed: {
    fake: {
      loadFails: { code: "storage", message: "ziya-tiny needs 4 GB more.", room: { need: 4e9, free: 2e8 } },
      stored: STORED,
      free: 2e8,
    },
    reach: (page) => page.locator("[data-problem] .facts dd").first().waitFor(),
  },
  conversation: { fake: { answers: { a: ANSWER } }, reach: (page) => say(page, "a") },
  answering: {
    fake: { answers: { a: "word ".repeat(5000) }, delay: 20 },
    async reach(page) {
      await page.locator("#question").fill("a");
      await page.locator("#question").press("Enter");
      await page.locator("[data-running] .markdown p").waitFor();
    },
  },
  models: {
    fake: { stored: STORED, obstacle: "It needs 9.2 GB; the adapter has 4 GB." },
    async reach(page) {
      await page.locator("#model").click();
      await page.locator("#model-address").fill("https://example.org/model/");
      await page.getByRole("button", { name: "Look" }).click();
      await page.locator(".needs .problem").waitFor();
    },
  },
  settings: {
    async reach(page) {
      await page.locator("[data-model=ready]").waitFor();
      await page.locator("#settings").click();
    },
  },
  panel: {
    async reach(page) {
      await say(page, "a");
      await page.locator("#panel-button").click();
    },
  },
  benchmark: {
    async reach(page) {
      await page.locator("[data-model=ready]").waitFor();
      await page.locator("#panel-button").click();
      await page.locator("#benchmark").click();
      await page.getByRole("button", { name: "Measure" }).click();
      await page.locator(".report").waitFor();
    },
  },
};

describe.skipIf(!hasBrowser)("the page's looks, in Chromium", () => {
  let built: BuiltPage;
  let browser: Browser;

  beforeAll(async () => {
    built = await buildPage("fake");
    browser = await launchBrowser();
  });

  afterAll(async () => {
    await browser?.close();
    await built?.close();
  });

  test.each(Object.keys(STATES))(
    "has nothing that axe finds, in both colour schemes, and fits a phone: %s",
    async (name) => {
      const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
      const { fake = {}, reach } = STATES[name]!;
      // The policy forbids scripts of text, which axe comes as.
      const page = await openFake(browser, built, fake, { bypassCSP: true, reducedMotion: "reduce" });
      await reach(page);
      await page.evaluate(axe);
      for (const colorScheme of ["light", "dark"] as const) {
        await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
        const found = (await page.evaluate(`axe.run({ resultTypes: ["violations"] }).then(({ violations }) =>
        violations.map(({ id, nodes }) => id + ": " + nodes.map(({ html, failureSummary }) => html + failureSummary).join(" ")))`)) as string[];
        expect(found).toEqual([]);
      }
      // Of the narrowest phone that there is, nothing is wider than the screen, or than what it is in.
      await page.setViewportSize({ width: 320, height: 640 });
      const wide = await page.evaluate(() =>
        [document.documentElement, ...document.querySelectorAll(".dialog-body, .panel, .dock, .thread")]
          .filter((element) => element.scrollWidth > element.clientWidth && element.clientWidth > 0)
          .map(({ tagName, className }) => `${tagName}.${className}`),
      );
      expect(wide).toEqual([]);
      await page.context().close();
    },
  );

  test("keeps composer and Stop on a phone's screen beside a long answer", async () => {
    const page = await openFake(
      browser,
      built,
      { answers: { a: "word ".repeat(5000) }, delay: 5, piece: 200 },
      PHONE,
    );
    await page.locator("#question").fill("a");
    await page.locator("#send").tap();
    await page.waitForFunction(() => (document.querySelector(".thread")?.scrollTop ?? 0) > 500);
    for (const id of ["#question", "#stop", "#model", "#menu"]) {
      const box = (await page.locator(id).boundingBox())!;
      expect(box.y, id).toBeGreaterThanOrEqual(0);
      expect(box.y + box.height, id).toBeLessThanOrEqual(PHONE.viewport.height);
      expect(box.x + box.width, id).toBeLessThanOrEqual(PHONE.viewport.width);
    }
    // Nothing is wider than the screen.
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBe(PHONE.viewport.width);
    // Whoever reads further up is left there.
    await page.locator(".thread").evaluate((thread) => {
      thread.scrollTop = 100;
    });
    await page.locator(".jump").waitFor();
    const height = () => page.locator(".thread").evaluate((thread) => thread.scrollHeight);
    const before = await height();
    await expect.poll(height).toBeGreaterThan(before);
    expect(await page.locator(".thread").evaluate((thread) => thread.scrollTop)).toBe(100);
    await page.locator("#stop").tap();
    await answered(page);
    await page.locator("#menu").tap();
    await page.locator("#sidebar").getByRole("button", { name: "a", exact: true }).waitFor();
    await page.context().close();
  });

  test("never holds the main thread longer than 50 ms while loading and answering", async () => {
    const long = Array.from({ length: 60 }, (_, i) => `Paragraph ${i} **has** words.\n\n- a\n- b`).join(
      "\n\n",
    );
    const fake = { loading: 200, answers: { a: long }, delay: 2, piece: 12 };
    const measure = async () => {
      const page = await openFake(browser, built, fake);
      const longest = await longestTask(browser, page, async () => {
        await page.reload();
        await page.locator("[data-model=ready]").waitFor();
        await say(page, "a");
      });
      await page.context().close();
      return longest;
    };
    expect(await leastOf(measure)).toBeLessThan(LONG_TASK_MS);
  });

  test("opens a conversation of 600 messages at its end, makes the rest behind it and scrolls through it, in tasks under 50 ms", async () => {
    const turns = Array.from({ length: 600 }, (_, i) => ({
      role: i % 2 === 0 ? "user" : "assistant",
      content: `Message ${i} **has** words.\n\n- a\n- b\n\n\`\`\`ts\nlet a = ${i};\n\`\`\``,
      finish: "stop",
    }));
    const json = {
      format: "ziya-conversations",
      version: 1,
      conversations: [{ title: "long", named: true, turns }],
    };
    const measure = async () => {
      const page = await openFake(browser, built);
      const longest = await longestTask(browser, page, async () => {
        const file = {
          name: "long.json",
          mimeType: "application/json",
          buffer: Buffer.from(JSON.stringify(json)),
        };
        await page.locator("#sidebar input[type=file]").setInputFiles(file);
        await page.getByText("Message 599 has words.").waitFor();
        expect(await page.locator(".thread").evaluate((thread) => thread.scrollTop)).toBeGreaterThan(100);
        await page.waitForFunction(() => document.querySelectorAll(".turn").length === 600);
        expect(await page.getByText("Message 599 has words.").isVisible()).toBe(true);
        // As fast as one can read the beginning of each screen: nothing of it was laid out before.
        const passed = await page.locator(".thread").evaluate(async (thread) => {
          const end = thread.scrollTop;
          for (let screen = 0; screen < 25; screen++) {
            thread.scrollTop -= thread.clientHeight;
            await new Promise(requestAnimationFrame);
          }
          return end - thread.scrollTop;
        });
        expect(passed).toBeGreaterThan(5000);
      });
      expect(await page.locator(".turn").first().textContent()).toContain("Message 0");
      await page.context().close();
      return longest;
    };
    expect(await leastOf(measure)).toBeLessThan(LONG_TASK_MS);
  });

  test("has thrown no error of its own, and broken no rule of its policy", () => {
    expect(complaints).toEqual([]);
  });
});

describe("the page's files", () => {
  test("have fewer than 300 kB together, gzipped, and no script or style in their text", async () => {
    const built = await buildPage("real");
    try {
      let bytes = 0;
      for (const entry of await readdir(built.folder, { recursive: true, withFileTypes: true })) {
        const path = join(entry.parentPath, entry.name);
        if (!entry.isFile() || path.includes("/models/")) continue;
        bytes += gzipSync(await readFile(path)).length;
      }
      expect(bytes).toBeLessThan(MOST_BYTES);
      expect(bytes).toBeGreaterThan(50_000);
      const html = await readFile(join(built.folder, "index.html"), "utf8");
      expect(html).toMatch(/require-trusted-types-for/);
      expect(html).not.toMatch(/unsafe|<style|style=|<script(?![^>]*\bsrc=)|(?:src|href)="(?:https?:)?\/\//);
    } finally {
      await built.close();
    }
  });
});
