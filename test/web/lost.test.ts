import type { Page } from "playwright-core";
import { beforeAll, describe, expect, test } from "vitest";
import { expectBrowser, hasBrowser, useSources } from "../support/browser.ts";

expectBrowser();

const GREEDY = { temperature: 0, max_tokens: 6 };
/** More tokens than are under way at once, so that each loss is in the middle of them. */
const SEEDED = { temperature: 3, top_p: 1, seed: 7, max_tokens: 16 };

/** What came of an answer in the page, and what happened on the way. */
interface Answered {
  readonly pieces: string[];
  readonly error?: string;
  /** Of each loss, whether the engine recovered. */
  readonly losses: boolean[];
}

describe.skipIf(!hasBrowser)("a device that is lost in Chromium", () => {
  const sources = useSources();
  let page: Page;

  beforeAll(async () => {
    page = await sources.browser.newPage();
    await page.goto(sources.server.blank);
    // What the page runs is text, so that Vitest does not put names of its own into it.
    await page.evaluate(`(async (sources) => {
      const { loadEngine, httpFolder } = await import(sources + "src/index.ts");
      const { webHost } = await import(sources + "web/host.ts");
      const devices = [];
      const { requestDevice } = GPUAdapter.prototype;
      GPUAdapter.prototype.requestDevice = async function (descriptor) {
        const device = await requestDevice.call(this, descriptor);
        devices.push(device);
        return device;
      };
      let losses = [];
      let recoveries = [];
      /** How many of those that are opened are lost at once. */
      let unlucky = 0;
      const engine = await loadEngine(webHost(), httpFolder(new URL("models/ziya-tiny/", location.href)), {
        // As few kernels as can be: a software adapter compiles them for seconds, and here anew for each device.
        rung: "core",
        context: 32,
        chunk: 1,
        decode: "f32 4x2",
        check: false,
        onDeviceLost(error, recovered) {
          const told = recovered.then(
            () => {
              losses.push(true);
              if (unlucky-- > 0) devices.at(-1).destroy();
            },
            () => losses.push(false),
          );
          recoveries.push(told);
        },
      });
      // Each of "ways" is a way to lose the device, by after how many pieces.
      self.ask = async (options, ways = {}, more = 0) => {
        losses = [];
        recoveries = [];
        unlucky = more;
        const pieces = [];
        try {
          for await (const piece of engine.generate("Hello", options)) {
            pieces.push(piece);
            if (!ways[pieces.length]) continue;
            const device = devices.at(-1);
            await ways[pieces.length](device);
            // A crash is not heard of at once, and the next loss is to be of the next device.
            await device.lost;
            for (const recovery of recoveries) await recovery;
          }
          return { pieces, losses };
        } catch (error) {
          return { pieces, losses, error: error.code + ": " + error.message };
        }
      };
    })(${JSON.stringify(sources.server.address(""))})`);
  });

  const ask = (options: object, ways = "{}", more = 0) =>
    page.evaluate(`ask(${JSON.stringify(options)}, ${ways}, ${more})`) as Promise<Answered>;

  test("leaves the answer as it is undisturbed: one that is destroyed, and one whose process crashes", async () => {
    const whole = await ask(SEEDED);
    expect(whole.pieces.length).toBeGreaterThan(4);
    const session = await sources.browser.newBrowserCDPSession();
    // Playwright's types know Chromium's experiments only in part.
    await page.exposeFunction("crash", () => session.send("Browser.crashGpuProcess" as "Browser.close"));
    const ways = "{ 2: (device) => device.destroy(), 4: () => crash() }";
    expect(await ask(SEEDED, ways)).toEqual({ ...whole, losses: [true, true] });
  });

  test("ends it with what was said, when it is the third in a row", async () => {
    const whole = await ask(GREEDY);
    const { pieces, losses, error } = await ask(GREEDY, "{ 2: (device) => device.destroy() }", 2);
    expect(error).toMatch(/^device-lost: .* 3 times without a token in between/);
    expect(losses).toEqual([true, true, false]);
    expect(pieces.length).toBeGreaterThan(1);
    expect(whole.pieces.slice(0, pieces.length)).toEqual(pieces);
  });
});
