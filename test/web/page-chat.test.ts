import { readFile } from "node:fs/promises";
import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { expectBrowser, hasBrowser } from "../support/browser.ts";
import type { Fake } from "../support/fake-engine.ts";
import { answered, callsOf, complaints, hurry, say, useFakePages, watch } from "../support/page.ts";

expectBrowser();

describe.skipIf(!hasBrowser)("the page's conversations, in Chromium", () => {
  const pages = useFakePages();
  let page: Page;

  const open = async (fake: Fake = {}, options = {}) => {
    page = await pages.open(fake, options);
    return page;
  };
  const box = () => page.locator("#question");
  const messages = () => page.locator(".turn .bubble, .turn .markdown").allInnerTexts();
  /** Messages of the chats that the engine was asked for. */
  const asked = async () => (await callsOf(page)).filter(([name]) => name === "chat").map(([, args]) => args);

  test("goes through a whole conversation by keyboard alone", async () => {
    await open({ answers: { second: "the second answer" }, delay: 5 });
    await page.keyboard.press("Tab");
    expect(await page.evaluate(() => document.activeElement?.className)).toBe("skip");
    await page.keyboard.press("Enter");
    await page.keyboard.type("first");
    await page.keyboard.press("Shift+Enter");
    await page.keyboard.type("line");
    await page.keyboard.press("Enter");
    await page.locator(".answer .note:not(:empty)").waitFor();
    await page.keyboard.type("second");
    await page.keyboard.press("Enter");
    await page.locator(".answer .note:not(:empty)").nth(1).waitFor();
    expect(await messages()).toEqual(["first\nline", "first\nline", "second", "the second answer"]);
    // Arrow up says the last question in other words.
    await page.keyboard.press("ArrowUp");
    await page.keyboard.press("ControlOrMeta+a");
    await page.keyboard.type("third");
    await page.keyboard.press("Enter");
    await page.locator(".answer .markdown", { hasText: "third" }).waitFor();
    expect(await messages()).toEqual(["first\nline", "first\nline", "third", "third"]);
  });

  test("sends nothing with an input method's Enter", async () => {
    await open();
    await box().fill("ni");
    const key = (init: object) =>
      box().evaluate((box, init) => {
        box.dispatchEvent(new CompositionEvent("compositionend", { data: "你", bubbles: true }));
        box.dispatchEvent(
          new KeyboardEvent("keydown", { key: "Enter", bubbles: true, cancelable: true, ...init }),
        );
      }, init);
    await key({ isComposing: true, keyCode: 13 });
    // Safari's: the composition is over, and the code is that of an input method.
    await key({ isComposing: false, keyCode: 229 });
    expect(await page.locator(".turn").count()).toBe(0);
    await key({ isComposing: false, keyCode: 13 });
    await page.locator(".answer").waitFor();
  });

  test("sends while the model is loading, and answers when it is there", async () => {
    await open({ loading: 60_000 });
    await box().fill("early");
    await box().press("Enter");
    expect(await page.locator("#status").innerText()).toContain("Waiting");
    await hurry(page, { loading: 0 });
    await page.locator(".answer .markdown", { hasText: "early" }).waitFor();
  });

  test("stops an answer by Escape and by its button, and keeps what came", async () => {
    await open({ answers: { long: "word ".repeat(4000) }, delay: 5, piece: 5 });
    for (const stop of [() => page.keyboard.press("Escape"), () => page.locator("#stop").click()]) {
      await page.locator("#new").click();
      await box().fill("long");
      await box().press("Enter");
      await page.waitForFunction(() => (document.querySelector(".markdown")?.textContent?.length ?? 0) > 20);
      await stop();
      await answered(page);
      expect(await page.locator(".answer .note").innerText()).toContain("Stopped");
      const { length } = await page.locator(".answer .markdown").innerText();
      expect(length).toBeGreaterThan(20);
      expect(length).toBeLessThan(15_000);
    }
  });

  test("edits a message and answers it anew, and answers the last one again", async () => {
    await open();
    await say(page, "one");
    await say(page, "two");
    await page.locator(".question").first().hover();
    await page.locator("[data-edit]").first().click();
    await page.getByLabel("Edit the message").fill("uno");
    await page.getByRole("button", { name: "Send again" }).click();
    await page.locator(".answer .markdown", { hasText: "uno" }).waitFor();
    await answered(page);
    expect(await messages()).toEqual(["uno", "uno"]);
    await page.locator("[data-again]").click();
    await answered(page);
    expect(
      (await asked()).map(({ messages }: { messages: { content: string }[] }) =>
        messages.map(({ content }) => content),
      ),
    ).toEqual([["one"], ["one", "one", "two"], ["uno"], ["uno"]]);
  });

  test("keeps conversations over a reload, renames, deletes and brings them back", async () => {
    await open();
    await say(page, "apples");
    await page.locator("#new").click();
    await say(page, "pears");
    await page.reload();
    await page.locator(".answer").waitFor();
    expect(await messages()).toEqual(["pears", "pears"]);
    const titles = () => page.locator(".talk").allInnerTexts();
    expect(await titles()).toEqual(["pears", "apples"]);
    await page.getByRole("button", { name: "apples", exact: true }).click();
    await expect.poll(messages).toEqual(["apples", "apples"]);
    await page.getByRole("button", { name: "Rename “apples”" }).click();
    await page.getByLabel("Title").fill("fruit");
    await page.getByLabel("Title").press("Enter");
    await page.getByRole("button", { name: "fruit", exact: true }).waitFor();
    await page.getByRole("button", { name: "Delete “fruit”" }).click();
    await expect.poll(titles).toEqual(["pears"]);
    await page.getByRole("button", { name: "Undo" }).click();
    await page.getByRole("button", { name: "fruit", exact: true }).waitFor();
    await page.reload();
    await expect.poll(async () => (await titles()).sort()).toEqual(["fruit", "pears"]);
  });

  test("exports conversations, imports them elsewhere, and refuses other files", async () => {
    await open({ answers: { question: "**answer**" } });
    await say(page, "question");
    await page.locator("#new").click();
    await say(page, "another");
    const exporting = async (name: string) => {
      const button = page.getByRole("button", { name });
      const [download] = await Promise.all([page.waitForEvent("download"), button.click()]);
      return readFile(await download.path());
    };
    await page.getByRole("button", { name: "question", exact: true }).hover();
    const one = JSON.parse((await exporting("Export “question”")).toString());
    expect(one.conversations.map(({ title }: { title: string }) => title)).toEqual(["question"]);
    const exported = await exporting("Export all");
    await page.context().close();
    await open();
    const choose = (name: string, buffer: Buffer) =>
      page.locator("#sidebar input[type=file]").setInputFiles({ name, mimeType: "application/json", buffer });
    await choose(
      "a.json",
      Buffer.from('{"format":"ziya-conversations","version":1,"conversations":[{"title":1}]}'),
    );
    await page.locator(".notice", { hasText: "That file has no conversations" }).waitFor();
    await choose("b.json", exported);
    await page.locator(".notice", { hasText: "2 conversations imported" }).waitFor();
    await page.getByRole("button", { name: "question", exact: true }).click();
    await page.locator(".answer strong", { hasText: "answer" }).waitFor();
    expect(await messages()).toEqual(["question", "answer"]);
    expect(await page.locator(".talk").allInnerTexts()).toEqual(["another", "question"]);
  });

  test("shows in one tab what is said in another", async () => {
    await open();
    const other = await page.context().newPage();
    await other.goto(pages.address());
    await other.locator("#question").fill("from the other tab");
    await other.locator("#question").press("Enter");
    await page.bringToFront();
    await page.locator(".talk", { hasText: "from the other tab" }).click();
    await expect.poll(messages).toEqual(["from the other tab", "from the other tab"]);
    // Both go on with it, in turns: neither writes over what the other has said.
    await say(other, "more");
    await expect.poll(messages).toEqual(["from the other tab", "from the other tab", "more", "more"]);
    await say(page, "last");
    await page.getByRole("button", { name: "Rename “from the other tab”" }).click();
    await page.getByLabel("Title").fill("both");
    await page.getByLabel("Title").press("Enter");
    await say(other, "other");
    await page.reload();
    await page.locator(".answer").nth(3).waitFor();
    const questions = await page.locator(".bubble").allInnerTexts();
    expect(questions).toEqual(["from the other tab", "more", "last", "other"]);
    expect(await page.locator(".talk").allInnerTexts()).toEqual(["both"]);
  });

  /** Another tab that shows the conversation. */
  const openBeside = async (title: string, script = "") => {
    const other = await page.context().newPage();
    watch(other);
    await other.addInitScript(`globalThis.fake = { calls: [] }; ${script}`);
    await other.goto(pages.address());
    await other.locator(".talk", { hasText: title }).click();
    await other.locator(".answer").waitFor();
    return other;
  };
  const saidIn = (tab: Page) => tab.locator(".bubble, .markdown").allInnerTexts();
  const titlesIn = (tab: Page) => tab.locator(".talk span:not(.pulse)").allInnerTexts();

  /** Deletes a conversation. */
  const remove = async (title: string) => {
    await page.getByRole("button", { name: title, exact: true }).hover();
    await page.getByRole("button", { name: `Delete “${title}”` }).click();
  };

  test("keeps both answers where two tabs ask in one conversation at once", async () => {
    await open();
    await say(page, "apples");
    const other = await openBeside("apples");
    const tabs = [
      [page, "pears"],
      [other, "plums"],
    ] as const;
    for (const [tab, question] of tabs) {
      await hurry(tab, { delay: 60_000 });
      await tab.locator("#question").fill(question);
      await tab.locator("#question").press("Enter");
      await tab.locator(":root[data-state=reading]").waitFor();
    }
    await other.locator(".notice", { hasText: "kept beside it, as “(2) apples”" }).waitFor();
    // The first to ask is the last to be answered.
    for (const [tab] of [...tabs].reverse()) {
      await hurry(tab, { delay: 0 });
      await answered(tab);
    }
    for (const [tab, question] of tabs) {
      await expect.poll(() => titlesIn(tab)).toEqual(["apples", "(2) apples"]);
      await tab.reload();
      await tab.locator(".answer").nth(1).waitFor();
      expect(await saidIn(tab)).toEqual(["apples", "apples", question, question]);
    }
    expect(await page.locator(".notice").count()).toBe(0);
  });

  test("writes over nothing that another tab has said and this one has not heard of", async () => {
    await open();
    await say(page, "apples");
    const deaf = await openBeside("apples", "BroadcastChannel.prototype.addEventListener = () => {};");
    await say(page, "pears");
    await deaf.locator("[data-again]").click();
    await deaf.locator(".notice", { hasText: "kept beside it" }).waitFor();
    await answered(deaf);
    expect(await saidIn(deaf)).toEqual(["apples", "apples"]);
    await deaf.getByRole("button", { name: "apples", exact: true }).hover();
    await deaf.getByRole("button", { name: "Rename “apples”" }).click();
    await deaf.getByLabel("Title").fill("fruit");
    await deaf.getByLabel("Title").press("Enter");
    await expect.poll(() => titlesIn(page)).toEqual(["(2) apples", "fruit"]);
    await page.bringToFront();
    await page.reload();
    await page.locator(".answer").nth(1).waitFor();
    expect(await saidIn(page)).toEqual(["apples", "apples", "pears", "pears"]);
    // Nor does it bring back what is deleted.
    await remove("(2) apples");
    await deaf.locator("#question").fill("plums");
    await deaf.locator("#question").press("Enter");
    await deaf.locator(".notice", { hasText: "Another tab has deleted “(2) apples”" }).waitFor();
    await page.reload();
    await expect.poll(() => titlesIn(page)).toEqual(["fruit"]);
  });

  test("ends an answer in a conversation that another tab deletes, and keeps it beside where it is wanted", async () => {
    await open();
    await say(page, "apples");
    const other = await openBeside("apples");
    await hurry(other, { delay: 60_000 });
    await other.locator("#question").fill("pears");
    await other.locator("#question").press("Enter");
    await other.locator(":root[data-state=reading]").waitFor();
    await page.bringToFront();
    await remove("apples");
    const notice = other.locator(".notice", { hasText: "Another tab has deleted “apples”" });
    await notice.waitFor();
    await answered(other);
    expect(await saidIn(other)).toEqual([]);
    for (const tab of [page, other]) await expect.poll(() => titlesIn(tab)).toEqual([]);
    await page.getByRole("button", { name: "Undo" }).click();
    await expect.poll(() => titlesIn(other)).toEqual(["apples"]);
    await other.bringToFront();
    await notice.getByRole("button", { name: "Keep it here" }).click();
    for (const tab of [page, other]) await expect.poll(() => titlesIn(tab)).toEqual(["(2) apples", "apples"]);
    expect(await saidIn(other)).toEqual(["apples", "apples", "pears"]);
    // What was brought back is written again, by whoever has it.
    await say(page, "plums");
    await other.getByRole("button", { name: "apples", exact: true }).click();
    await expect.poll(() => saidIn(other)).toEqual(["apples", "apples", "plums", "plums"]);
    await hurry(other, { delay: 0 });
    await say(other, "figs");
    await expect.poll(() => titlesIn(page)).toEqual(["apples", "(2) apples"]);
  });

  test("says so where the disk is full, and keeps the conversation when there is room again", async () => {
    await open();
    await say(page, "first");
    await page.evaluate(() => {
      const put = IDBObjectStore.prototype.put;
      Object.assign(window, { full: true });
      IDBObjectStore.prototype.put = function (...args) {
        const request = put.apply(this, args);
        // As a browser does: the request goes well, and its transaction does not.
        if ((window as unknown as { full: boolean }).full) {
          const value = new DOMException("full", "QuotaExceededError");
          Object.defineProperty(this.transaction, "error", { value });
          this.transaction.abort();
        }
        return request;
      };
    });
    await say(page, "second");
    const card = page.locator("#failure [data-problem=disk-full]");
    await card.waitFor();
    await page.evaluate("full = false");
    await card.getByRole("button", { name: "Try again" }).click();
    await card.waitFor({ state: "detached" });
    await page.reload();
    await page.locator(".answer").nth(1).waitFor();
    expect(await messages()).toEqual(["first", "first", "second", "second"]);
  });

  test("keeps what came of an answer in the middle of which the page is closed", async () => {
    await open({ answers: { long: "word ".repeat(4000) }, delay: 5, piece: 5 });
    await box().fill("long");
    await box().press("Enter");
    await page.waitForFunction(() => (document.querySelector(".markdown")?.textContent?.length ?? 0) > 900);
    await page.reload();
    await page.locator(".answer .markdown").waitFor();
    expect((await page.locator(".answer .markdown").innerText()).length).toBeGreaterThan(100);
    expect(await page.locator(".answer .note").innerText()).toContain("closed");
  });

  test("asks an example that is clicked", async () => {
    await open({ answers: { "48+87=?": "135" } });
    expect(await page.locator(".examples dt").count()).toBe(9);
    await page.getByRole("button", { name: "48+87=?" }).click();
    await page.locator(".answer .markdown", { hasText: "135" }).waitFor();
    expect(await page.locator(".welcome").isVisible()).toBe(false);
  });

  test("has thrown no error of its own, and broken no rule of its policy", () => {
    expect(complaints).toEqual([]);
  });
});
