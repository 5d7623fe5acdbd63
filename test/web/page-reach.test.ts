import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { expectBrowser, hasBrowser } from "../support/browser.ts";
import type { Fake } from "../support/fake-engine.ts";
import { complaints, say, useFakePages } from "../support/page.ts";

expectBrowser();

describe.skipIf(!hasBrowser)("the page without a mouse, in Chromium", () => {
  const pages = useFakePages();
  let page: Page;

  const open = async (fake: Fake = {}, options = {}) => {
    page = await pages.open(fake, options);
    return page;
  };
  const press = async (...keys: readonly string[]) => {
    for (const key of keys) await page.keyboard.press(key);
  };
  const focused = () => page.evaluate(() => document.activeElement?.id);

  test("chooses a model and settings by keyboard alone, and is back where it was", async () => {
    await open({
      stored: [{ name: "other", whole: true, done: 1e9, total: 1e9, weights: "q4", changed: 0 }],
    });
    await page.locator("[data-model=ready]").waitFor();
    await page.locator("#model").focus();
    await press("Enter");
    const dialog = page.getByRole("dialog", { name: "Models" });
    await dialog.locator("li", { hasText: "other" }).waitFor();
    const seen = new Set<string>();
    for (let i = 0; i < 12; i++) {
      await press("Tab");
      const { name, inside } = await page.evaluate(() => {
        const { activeElement: element } = document;
        const name = element?.getAttribute("aria-label") ?? element?.id ?? "";
        // Behind the last of it is the browser's own bar, which is the body to a page.
        return { name, inside: element === document.body || element?.closest("dialog") !== null };
      });
      expect(inside).toBe(true);
      seen.add(name);
    }
    for (const name of ["Close", "Use other", "Delete other from the browser", "model-address"])
      expect(seen).toContain(name);
    await page.getByRole("radio", { name: "From the web" }).focus();
    await press("ArrowRight");
    await dialog.getByRole("button", { name: "Choose a folder" }).waitFor();
    await press("Escape");
    await dialog.waitFor({ state: "detached" });
    expect(await focused()).toBe("model");
    await press("Enter");
    await page.getByRole("button", { name: "Use other" }).focus();
    await press("Enter");
    await page.locator(".model-name", { hasText: "other" }).waitFor();
    await page.locator("#settings").focus();
    await press("Enter");
    await page.getByRole("radio", { name: "As the system" }).focus();
    await press("ArrowRight", "ArrowRight");
    expect(await page.locator("html").getAttribute("data-theme")).toBe("dark");
    await press("Escape");
    expect(await focused()).toBe("settings");
  });

  test("renames, deletes and opens conversations by keyboard alone", async () => {
    await open({ answers: { long: "word ".repeat(1000) }, delay: 5 });
    await say(page, "first");
    await page.locator("#new").focus();
    await press("Enter");
    expect(await focused()).toBe("question");
    await say(page, "second");
    const label = () => page.evaluate(() => document.activeElement?.getAttribute("aria-label"));
    await page.getByRole("button", { name: "first", exact: true }).focus();
    await press("Tab");
    expect(await label()).toBe("Rename “first”");
    await press("Enter", "ControlOrMeta+a");
    await page.keyboard.type("renamed");
    await press("Enter");
    await page.getByRole("button", { name: "renamed", exact: true }).waitFor();
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("renamed");
    await press("Enter");
    await page.locator(".bubble", { hasText: "first" }).waitFor();
    await page.getByRole("button", { name: "second", exact: true }).focus();
    await press("Tab", "Tab", "Tab");
    expect(await label()).toBe("Delete “second”");
    await press("Enter");
    await page.getByRole("button", { name: "Undo" }).focus();
    await press("Enter");
    await page.locator(".bubble", { hasText: "second" }).waitFor();
    // What ends a renaming ends no answer.
    await page.locator("#question").fill("long");
    await page.locator("#question").press("Enter");
    await page.locator("[data-running] .markdown", { hasText: "word" }).waitFor();
    await page.getByRole("button", { name: "Answering… second" }).focus();
    await press("Tab");
    // The list is made anew each time that the answer is written down.
    await page.waitForFunction(
      (button) => !button.isConnected,
      await page.evaluateHandle(() => document.activeElement!),
    );
    expect(await label()).toBe("Rename “second”");
    await press("Enter", "Escape");
    expect(await page.evaluate(() => document.activeElement?.textContent)).toBe("second");
    expect(await page.locator("[data-running]").count()).toBe(1);
    await press("Escape");
    await page.locator(".note", { hasText: "Stopped" }).waitFor();
  });

  test("ends no editing with the keys of an input method", async () => {
    await open();
    await say(page, "ni");
    const composing = (label: string, key: string, init: object) =>
      page
        .getByLabel(label, { exact: true })
        .evaluate(
          (box, init) =>
            box.dispatchEvent(new KeyboardEvent("keydown", { bubbles: true, cancelable: true, ...init })),
          { key, ...init },
        );
    await page.keyboard.press("ArrowUp");
    await page.getByRole("button", { name: "Rename “ni”" }).click();
    for (const label of ["Edit the message", "Title"]) {
      await composing(label, "Enter", { isComposing: true, keyCode: 229 });
      await composing(label, "Enter", { isComposing: false, keyCode: 229 });
      await composing(label, "Escape", { isComposing: true, keyCode: 229 });
      expect(await page.getByLabel(label, { exact: true }).count()).toBe(1);
    }
    expect(await page.locator(".bubble:not(textarea)").count()).toBe(0);
    await composing("Title", "Escape", { keyCode: 27 });
    await composing("Edit the message", "Enter", { keyCode: 13 });
    await page.locator(".bubble:not(textarea)").waitFor();
  });

  test("says aloud that the model is there, what went wrong, and what was done", async () => {
    await open({ loading: 300, loadFails: { code: "storage", message: "It is full.", times: 1 } });
    const alert = page.getByRole("alert");
    await alert.getByText("The browser could not store it").waitFor();
    await alert.getByRole("button", { name: "Try again" }).click();
    const announcer = page.getByRole("status");
    await announcer.getByText("ziya-tiny is ready.").waitFor();
    await say(page, "a");
    await page.getByRole("button", { name: "Delete “a”" }).click();
    await announcer.getByText("“a” is deleted.").waitFor();
    // What runs is a bar with words for those who do not see it.
    await page.evaluate("fake.loading = 60_000");
    await page.locator("#model").click();
    await page.locator("#model-address").fill("https://example.org/model/");
    await page.locator("#model-address").press("Enter");
    await page.getByRole("button", { name: "Fetch only" }).click();
    const bar = page.getByRole("progressbar", { name: "Progress" }).last();
    await bar.waitFor();
    expect(await bar.getAttribute("aria-valuetext")).toBe("0%");
  });

  test("says an answer once to a screen reader, and in its own language", async () => {
    await open({ answers: { 你好: "我是子牙。", hello: "I am Ziya." }, delay: 5, piece: 1 });
    await page.evaluate(() => {
      const said: string[] = [];
      Object.assign(window, { said });
      new MutationObserver(() => said.push(document.querySelector("#announcer")!.textContent!)).observe(
        document.querySelector("#announcer")!,
        { childList: true },
      );
    });
    await say(page, "你好");
    await say(page, "hello");
    const said = await page.evaluate(() => (window as unknown as { said: string[] }).said);
    expect(said.filter((text) => text.includes("子牙"))).toHaveLength(1);
    expect(said.filter((text) => text.includes("I am Ziya"))).toHaveLength(1);
    expect(said.length).toBeLessThanOrEqual(5);
    const langs = await page
      .locator(".bubble, .markdown")
      .evaluateAll((nodes) => nodes.map((node) => (node as HTMLElement).lang));
    expect(langs).toEqual(["zh-Hans", "zh-Hans", "en", "en"]);
    // Nothing that grows is announced as it does.
    expect(await page.locator(".thread [aria-live], .thread [role=log], .thread [role=status]").count()).toBe(
      0,
    );
  });

  test("has thrown no error of its own, and broken no rule of its policy", () => {
    expect(complaints).toEqual([]);
  });
});
