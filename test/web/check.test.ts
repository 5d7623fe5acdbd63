import { describe, expect, test } from "vitest";
import { expectBrowser, hasBrowser, useSources } from "../support/browser.ts";

expectBrowser();

/** What compiles the quickest, and has all of prompts. */
const OPTIONS = { decode: "plain", context: 32, chunk: 4, keep: false };
const GREEDY = { temperature: 0, max_tokens: 4 };

/** What a load in a worker came to. */
interface Outcome {
  readonly error?: { readonly name: string; readonly code: string; readonly message: string };
  readonly wrong?: readonly string[];
  readonly text?: string;
}

describe.skipIf(!hasBrowser)("a kernel that a browser computes wrong", () => {
  const sources = useSources();

  /** Loads ziya-tiny into a worker that has a line of a shader another way, and asks it something. */
  async function load(find: string, replace: string): Promise<Outcome> {
    const page = await sources.browser.newPage();
    let broken = 0;
    await page.route("**/web/worker.ts", async (route) => {
      const response = await route.fetch();
      const text = await response.text();
      broken += text.split(find).length - 1;
      await route.fulfill({ response, body: text.replaceAll(find, replace) });
    });
    await page.goto(sources.server.blank);
    const outcome = await page.evaluate(`(async () => {
      const { loadEngine } = await import(${JSON.stringify(sources.server.address("web/index.ts"))});
      try {
        const engine = await loadEngine("models/ziya-tiny/", ${JSON.stringify(OPTIONS)});
        const { text } = await engine.generate("Hello", ${JSON.stringify(GREEDY)}).complete();
        const { wrong } = engine.info;
        engine.destroy();
        return { wrong, text };
      } catch ({ constructor: { name }, code, message }) {
        return { error: { name, code, message } };
      }
    })()`);
    await page.close();
    expect(broken).toBe(1);
    return outcome as Outcome;
  }

  test("is refused where there is no other, by its name and how far it is off", async () => {
    const { error } = await load("x[row + i] * scale", "x[row + i] * scale * 0.99");
    expect(error).toMatchObject({ name: "DeviceError", code: "device" });
    expect(error!.message).toMatch(
      /^The kernel "rmsnorm" is computed wrong by .+ \(off by 0\.[\d]+ %, where 0\.024 % is allowed\)/,
    );
    expect(error!.message).toContain("use another browser, another adapter or a newer graphics driver.");
  });
});
