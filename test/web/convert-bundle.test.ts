import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { convert as convertInNode } from "../../node/convert/convert.ts";
import { packageRoot } from "../../node/host.ts";
import { expectBrowser, hasBrowser, launchBrowser } from "../support/browser.ts";
import { contents } from "../support/convert.ts";
import { type ConvertTab, openConvertTab } from "../support/convert-page.ts";
import { type Release, writeRelease } from "../support/release.ts";

expectBrowser();

describe.skipIf(!hasBrowser)("the package's bundle", () => {
  let folder = "";
  let release: Release;
  let wanted: Record<string, string>;
  let browser: Browser;
  let server: Server;
  /** Whether the worker's file is there: some bundlers of pages leave it behind. */
  let hasWorker = true;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "ziya-bundle-"));
    release = await writeRelease(join(folder, "release"));
    const [base, delta] = [release.base, release.delta].map((path) => ({ kind: "folder", path }) as const);
    const out = join(folder, "out");
    await convertInNode({ inputs: { base: base!, delta: delta! }, weights: "q4", out, workers: 1 });
    wanted = await contents(out);
    browser = await launchBrowser();
    server = createServer(async ({ url = "" }, response) => {
      const name = basename(url);
      if (name === "blank")
        return response.setHeader("content-type", "text/html").end("<title>blank</title>");
      if (name === "worker.js" && !hasWorker) return response.writeHead(404).end();
      response.setHeader("content-type", "text/javascript");
      response.end(await readFile(join(packageRoot, "dist", "browser", name)).catch(() => ""));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  });

  afterAll(async () => {
    await browser?.close();
    server?.close();
    if (folder) await rm(folder, { recursive: true });
  });

  async function openTab(): Promise<ConvertTab> {
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    const own = { blank: `${origin}blank`, address: (path: string) => origin + path, close: async () => {} };
    const tab = await openConvertTab(await browser.newContext(), own);
    await tab.choose({ base: release.base, delta: release.delta });
    return tab;
  }

  test("says what to do where its worker cannot start others", async () => {
    hasWorker = true;
    const { page } = await openTab();
    const said = await page.evaluate(`(async () => {
      const { openModels } = await import("/index.js");
      const address = URL.createObjectURL(await (await fetch("/worker.js")).blob());
      const worker = new Worker(address, { type: "module" });
      // Its first word: it runs.
      await new Promise((resolve) => worker.addEventListener("message", resolve, { once: true }));
      URL.revokeObjectURL(address);
      const models = openModels({ worker: () => worker });
      return models.convert("refused", chosen()).catch(({ name, message }) => name + ": " + message);
    })()`);
    expect(said).toMatch(/^OptionError: The worker could not start others of its own script/);
  });

  test.each([
    ["its worker's file", true],
    ["its worker's text", false],
  ])("packs by more of %s", async (_, there) => {
    hasWorker = there;
    const tab = await openTab();
    const model = await tab.page.evaluate(`(async () => {
      const { openModels } = await import("/index.js");
      const models = openModels();
      const model = await models.convert("bundled", chosen(), { workers: 2 });
      models.close();
      return model;
    })()`);
    expect(model).toMatchObject({ name: "bundled", whole: true, weights: "q4" });
    expect(await tab.stored("bundled")).toEqual(wanted);
  });
});
