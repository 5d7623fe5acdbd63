import { readFile } from "node:fs/promises";
import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { expectBrowser, hasBrowser } from "../support/browser.ts";
import type { Fake } from "../support/fake-engine.ts";
import { answered, callsOf, complaints, hurry, say, useFakePages } from "../support/page.ts";

expectBrowser();

describe.skipIf(!hasBrowser)("the page's settings and figures, in Chromium", () => {
  const pages = useFakePages();
  let page: Page;

  const open = async (fake: Fake = {}, options = {}) => {
    page = await pages.open(fake, options);
    return page;
  };
  /** Options of the chats that the engine was asked for. */
  const asked = async () =>
    (await callsOf(page))
      .filter(([name]) => name === "chat")
      .map(([, args]) => (args as { options: object }).options);
  const background = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);

  test("tells how full the context is, and draws where the model no longer sees", async () => {
    await open({ context: 100, answers: { a: "b".repeat(30) } });
    for (let i = 0; i < 3; i++) await say(page, "a");
    await page.locator("#context", { hasText: /\d+ \/ 100/ }).waitFor();
    await page.locator(".context.full").waitFor();
    await page.locator(".forgotten").waitFor();
    await page.getByText("The context is full: the oldest turns are left out").waitFor();
    const before = await page.locator(".turn:has(~ .forgotten)").count();
    // 25 of 100 are kept for the answer, a question has 1 and an answer 30: the last two turns and the next question fit.
    expect(before).toBe(2);
  });

  test("shows the model's own settings only when it is there", async () => {
    await open({ loading: 60_000 });
    await page.locator("#settings").click();
    expect(await page.locator("#option-temperature").getAttribute("placeholder")).toBe("");
    expect(await page.locator("#option-seed").getAttribute("placeholder")).toBe("random");
  });

  test("asks with the person's settings, and with those of the address above them", async () => {
    await open({}, { hash: "#max_tokens=32" });
    await page.locator("#settings").click();
    const field = (name: string) => page.locator(`#option-${name}`);
    await field("temperature").fill("0.5");
    await field("top_k").fill("7");
    await field("max_tokens").fill("99");
    expect(await field("top_p").getAttribute("placeholder")).toBe("0.85");
    expect(await page.getByRole("dialog").innerText()).toContain("max_tokens = 32");
    await page.keyboard.press("Escape");
    await say(page, "x");
    expect((await asked())[0]).toMatchObject({
      temperature: 0.5,
      top_k: 7,
      max_tokens: 32,
      overflow: "truncate",
    });
    await page.reload();
    await page.locator("#settings").click();
    expect(await field("temperature").inputValue()).toBe("0.5");
    await page.getByRole("button", { name: "As the model recommends" }).click();
    expect(await field("temperature").inputValue()).toBe("");
  });

  test("stops at the end of the context where the person wants that, with a way out", async () => {
    await open({ context: 100, answers: { a: "b".repeat(30) } });
    await page.locator("#settings").click();
    await page.getByRole("radio", { name: "Stop and say so" }).click();
    await page.keyboard.press("Escape");
    for (let i = 0; i < 3; i++) await say(page, "a");
    await page.getByText("The context is full: begin a new conversation").waitFor();
    expect(await asked()).toMatchObject([
      { overflow: "error" },
      { overflow: "error" },
      { overflow: "error" },
    ]);
    expect(await page.locator(".forgotten").count()).toBe(0);
    await page.evaluate(() =>
      Object.assign((globalThis as unknown as { fake: object }).fake, {
        answerFails: {
          code: "context-overflow",
          message: "It has 102 tokens; the context holds 100.",
          times: 1,
        },
      }),
    );
    await page.locator("#question").fill("b");
    await page.locator("#question").press("Enter");
    const card = page.locator("#failure [data-problem=context-overflow]");
    await card.getByRole("button", { name: "Settings" }).click();
    await page.getByRole("radio", { name: "Leave out the oldest turns" }).click();
    await page.keyboard.press("Escape");
    await card.getByRole("button", { name: "Try again" }).click();
    await page.locator(".answer .markdown", { hasText: /^b$/ }).waitFor();
    expect((await asked()).at(-1)).toMatchObject({ overflow: "truncate" });
  });

  test("is dark or light as the system, or as the person has it", async () => {
    await open({}, { colorScheme: "dark" });
    const dark = await background();
    await page.emulateMedia({ colorScheme: "light" });
    const light = await background();
    expect(light).not.toBe(dark);
    await page.locator("#settings").click();
    await page.getByRole("radio", { name: "Dark" }).click();
    expect(await background()).toBe(dark);
    await page.reload();
    await page.locator("#question").waitFor();
    expect(await background()).toBe(dark);
  });

  test("answers where the browser keeps nothing, and says that", async () => {
    await open();
    // As with all cookies blocked.
    await page.addInitScript(() => {
      const get = () => {
        throw new DOMException("Access is denied for this document.", "SecurityError");
      };
      for (const name of ["localStorage", "sessionStorage", "indexedDB"])
        Object.defineProperty(window, name, { get });
    });
    await page.reload();
    await page.locator("#question").waitFor();
    expect(await say(page, "a")).toBe("a");
    await page.locator("#new").click();
    await page.getByText("This browser keeps nothing in this window").waitFor();
    await page.getByRole("button", { name: "a", exact: true }).click();
    await page.locator(".answer .markdown", { hasText: "a" }).waitFor();
  });

  test("shows what the model runs on, and its rates as it runs", async () => {
    await open({ answers: { long: "word ".repeat(1200) }, delay: 60_000, piece: 30 });
    await page.locator("#panel-button").click();
    const panel = page.locator("#panel");
    await panel.getByText("ACME Model 1 · acme · model-1").waitFor();
    const facts = await panel.innerText();
    for (const fact of ["subgroups", "dot", "i8 narrow", "i8 tiles", "17.5 MB", "512 tokens"])
      expect(facts).toContain(fact);
    expect(facts).toContain("weights 11.8 MB, context 3.1 MB, work 2.6 MB");
    await page.locator("#question").fill("long");
    await page.locator("#question").press("Enter");
    await page.locator("#status", { hasText: /^Reading: \d+ of 4 tokens/ }).waitFor();
    // Long enough for a rate of this page's own: a point of a curve is 200 ms.
    await page.waitForTimeout(250);
    await hurry(page, { delay: 100 });
    const [decode, prefill] = [panel.locator(".rate").first(), panel.locator(".rate").nth(1)];
    // Ten pieces a second, beside others on a busy machine.
    await expect.poll(async () => Number(await decode.locator("strong").innerText())).toBeGreaterThan(2);
    const points = async () =>
      ((await decode.locator("polyline").getAttribute("points")) ?? "").split(" ").length;
    const before = await points();
    await expect.poll(points).toBeGreaterThan(before);
    expect(await page.locator("html").getAttribute("data-state")).toBe("answering");
    await hurry(page, { delay: 0 });
    await answered(page);
    // What the engine has measured.
    expect(await decode.locator("strong").innerText()).toBe("87");
    expect(await prefill.locator("strong").innerText()).toBe("1,200");
    await panel.getByText("First token after 42 ms; 0 tokens were still cached.").waitFor();
    await page.reload();
    await panel.waitFor();
  });

  test("measures the kernels, and shares that as JSON and as a picture", async () => {
    await open();
    await page.locator("#panel-button").click();
    await page.locator("#benchmark").click();
    await page.getByRole("button", { name: "Measure" }).click();
    const report = page.locator(".report");
    await report.waitFor();
    const figures = await report.locator(".figures").innerText();
    for (const figure of ["214 tokens/s", "1,830 tokens/s", "412 GB/s", "71%"])
      expect(figures).toContain(figure);
    const row = report.locator("tr", { hasText: "gemv q4 gate up" });
    expect(await row.locator("td").allInnerTexts()).toEqual(["40", "0.412", "120 MB", "83%"]);
    expect(await row.locator("meter").evaluate((meter: HTMLMeterElement) => meter.value)).toBe(0.83);
    const shared = async (name: string) => {
      const download = page.waitForEvent("download");
      await report.getByRole("button", { name }).click();
      return readFile(await (await download).path());
    };
    expect(JSON.parse((await shared("JSON")).toString())).toMatchObject({ model: "ziya-tiny" });
    const picture = await shared("Picture");
    expect(picture.subarray(1, 4).toString()).toBe("PNG");
    expect(picture.length).toBeGreaterThan(10_000);
    // Closing the dialog loses nothing.
    await page.keyboard.press("Escape");
    await page.locator("#benchmark").click();
    await report.waitFor();
  });

  test("speaks Chinese where the browser prefers it, and changes without ending an answer", async () => {
    await open({ answers: { 长: "字".repeat(300) }, delay: 200, piece: 4 }, { locale: "zh-CN" });
    expect(await page.locator("html").getAttribute("lang")).toBe("zh-Hans");
    await page.locator("#question").fill("长");
    await page.locator("#question").press("Enter");
    await page.locator("[data-running] .markdown", { hasText: "字字" }).waitFor();
    await page.locator("#settings").click();
    await page.getByRole("radio", { name: "English" }).click();
    expect(await page.locator("html").getAttribute("lang")).toBe("en");
    await page.getByRole("button", { name: "Stop" }).waitFor();
    await hurry(page, { delay: 0 });
    await answered(page);
    expect((await page.locator(".answer .markdown").innerText()).length).toBe(300);
    await page.reload();
    expect(await page.locator("html").getAttribute("lang")).toBe("en");
  });

  test("has thrown no error of its own, and broken no rule of its policy", () => {
    expect(complaints).toEqual([]);
  });
});
