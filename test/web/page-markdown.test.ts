import type { Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { expectBrowser, hasBrowser } from "../support/browser.ts";
import type { Fake } from "../support/fake-engine.ts";
import { answered, complaints, say, useFakePages } from "../support/page.ts";

expectBrowser();

const MARKDOWN = `# Title

Some *words* and \`code\`.

1. one

2. two

- a
- b

| x | y |
| --- | --- |
| 1 | 2 |

\`\`\`ts
const a = "<b>";
\`\`\`

[a link](https://example.org) ends it.`;

const ATTACK = `<img src=x onerror="window.broken = 1"> <script>window.broken = 1</script>

[click](javascript:window.broken=1) ![picture](https://example.org/track.png)

<svg onload="window.broken = 1"><a href="javascript:window.broken=1">x</a></svg>

[data](data:text/html,<script>window.broken=1</script>)`;

describe.skipIf(!hasBrowser)("the page's answers in Markdown, in Chromium", () => {
  const pages = useFakePages();
  let page: Page;

  const open = async (fake: Fake, options = {}) => {
    page = await pages.open(fake, options);
  };

  test("shows Markdown, the same whether it came at once or in pieces", async () => {
    await open({ answers: { markdown: MARKDOWN }, piece: 1 });
    await say(page, "markdown");
    const shown = () => page.locator(".answer .markdown").innerHTML();
    const streamed = await shown();
    await page.reload();
    await page.locator(".answer .markdown table").waitFor();
    expect(await shown()).toBe(streamed);
    const markdown = page.locator(".answer .markdown");
    expect(await markdown.locator("h1").innerText()).toBe("Title");
    expect(await markdown.locator("ol > li").count()).toBe(2);
    expect(await markdown.locator("ol").count()).toBe(1);
    expect(await markdown.locator("td").allInnerTexts()).toEqual(["1", "2"]);
    expect(await markdown.locator("pre code").textContent()).toBe('const a = "<b>";\n');
    expect(await markdown.locator("a").getAttribute("rel")).toContain("noopener");
  });

  test("goes on with a list behind a blank line, which begins as a paragraph", async () => {
    // Slower than a screen draws, so that each character is shown by itself.
    await open({ answers: { list: "1. one\n\n2. two\n\n3. three" }, piece: 1, delay: 25 });
    await say(page, "list");
    expect(await page.locator(".markdown ol").count()).toBe(1);
    expect(await page.locator(".markdown li").allInnerTexts()).toEqual(["one", "two", "three"]);
  });

  test("copies a block of code, or an answer as it was written", async () => {
    await open({ answers: { markdown: MARKDOWN } }, { permissions: ["clipboard-read", "clipboard-write"] });
    await say(page, "markdown");
    await page.locator(".copy-code").click();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe('const a = "<b>";\n');
    await page.locator(".answer .actions").getByRole("button", { name: "Copy" }).click();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(MARKDOWN);
  });

  test("makes again only the end of an answer that grows", async () => {
    const text = Array.from({ length: 30 }, (_, i) => `Paragraph ${i} has words.`).join("\n\n");
    await open({ answers: { long: text }, delay: 2, piece: 8 });
    await page.locator("#question").fill("long");
    await page.locator("#question").press("Enter");
    await page.locator(".markdown p").nth(5).waitFor();
    const first = await page.locator(".markdown p").first().elementHandle();
    await answered(page);
    expect(await page.locator(".markdown p").count()).toBe(30);
    expect(await first!.evaluate((node) => node.isConnected)).toBe(true);
  });

  test("does nothing that a model's text would have it do", async () => {
    await open({ answers: { attack: ATTACK } });
    const requests: string[] = [];
    page.on("request", (request) => requests.push(request.url()));
    await say(page, "attack");
    const markdown = page.locator(".answer .markdown");
    expect(await markdown.locator("img, script, svg, iframe, [onerror], [onload]").count()).toBe(0);
    expect(await markdown.innerText()).toContain('<img src=x onerror="window.broken = 1">');
    const links = await markdown
      .locator("a")
      .evaluateAll((links) => links.map((link) => link.getAttribute("href")));
    expect(links).toEqual([null, "https://example.org/track.png", null]);
    expect(await page.evaluate(() => "broken" in window)).toBe(false);
    expect(requests).toEqual([]);
  });

  test("has thrown no error of its own, and broken no rule of its policy", () => {
    expect(complaints).toEqual([]);
  });
});
