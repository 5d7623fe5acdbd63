import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContextOptions, Page } from "playwright-core";
import { build, type Plugin } from "vite";
import { afterAll, afterEach, beforeAll, vi } from "vitest";
import { packageRoot } from "../../node/host.ts";
import { launchBrowser } from "./browser.ts";
import type { Fake } from "./fake-engine.ts";
import { sendFile } from "./static.ts";

/** Where the page lies on its server: never at the root, so that an address that is not relative fails. */
const FOLDER = "/some/folder/";

/** The page as it is built, on a server of static files. */
export interface BuiltPage {
  readonly address: string;
  /** The folder of its files. */
  readonly folder: string;
  /** Builds it again in its place, with another title: a new version. */
  rebuild(title: string): Promise<void>;
  /** Answers no more requests, or answers again. */
  offline(is: boolean): void;
  close(): Promise<void>;
}

/** Puts test/support/fake-engine.ts in the place of web/index.ts: for tests of the page that need no model. */
function fakeEngine(): Plugin {
  const real = join(packageRoot, "web/index.ts");
  return {
    name: "fake engine",
    enforce: "pre",
    async resolveId(source, importer) {
      if (!source.endsWith("/index.ts") || !importer) return null;
      const found = await this.resolve(source, importer, { skipSelf: true });
      return found?.id === real ? join(packageRoot, "test/support/fake-engine.ts") : null;
    },
  };
}

/** Builds the page, with the real engine or with the one that stands in for it. */
export async function buildPage(engine: "real" | "fake"): Promise<BuiltPage> {
  const root = await mkdtemp(join(tmpdir(), "ziya-page-"));
  const folder = join(root, "dist");
  let offline = false;
  const make = async (plugins: Plugin[] = []) => {
    // Vitest's own would make it a build for tests, which registers no service worker.
    vi.stubEnv("NODE_ENV", "production");
    await build({
      configFile: join(packageRoot, "vite.config.ts"),
      logLevel: "warn",
      plugins: [...(engine === "fake" ? [fakeEngine()] : []), ...plugins],
      build: { outDir: folder, emptyOutDir: true },
    }).finally(() => vi.unstubAllEnvs());
  };
  await make();
  const server = createServer(async (request, response) => {
    const path = new URL(request.url!, "http://localhost").pathname;
    if (offline) {
      request.socket.destroy();
      return;
    }
    // Whoever asks from another address may, also for what is not there: as a model's host does.
    response.setHeader("access-control-allow-origin", "*");
    response.setHeader("access-control-expose-headers", "content-range");
    const name = path.startsWith(FOLDER) ? path.slice(FOLDER.length) || "index.html" : "not here";
    const bytes = await readFile(join(folder, name)).catch(() => undefined);
    if (!bytes) {
      response.writeHead(404).end();
      return;
    }
    sendFile(request, response, name, bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    address: `http://127.0.0.1:${port}${FOLDER}`,
    folder,
    rebuild: (title) =>
      make([
        {
          name: "another version",
          transformIndexHtml: (html) => html.replace(/<title>[^<]*/, `<title>${title}`),
        },
      ]),
    offline: (is) => {
      offline = is;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(root, { recursive: true });
    },
  };
}

/** Errors that a page threw or complained of, its policy's among them. */
export const complaints: string[] = [];

type PageOptions = BrowserContextOptions & { readonly hash?: string };

/** Opens the page with the engine that stands in, in a window of its own with nothing stored. */
export async function openFake(
  browser: Browser,
  { address }: BuiltPage,
  fake: Fake = {},
  options: PageOptions = {},
): Promise<Page> {
  const { hash = "", ...rest } = options;
  const context = await browser.newContext({ locale: "en-US", serviceWorkers: "block", ...rest });
  const page = await context.newPage();
  watch(page);
  await page.addInitScript((fake) => {
    (globalThis as { fake?: unknown }).fake = { calls: [], ...fake };
  }, fake);
  await page.goto(address + hash);
  await page.locator("#question").waitFor();
  return page;
}

/** What the tests of a file share, each of which has a page of its own with the engine that stands in. */
export function useFakePages() {
  let built: BuiltPage;
  let browser: Browser;
  let page: Page | undefined;
  beforeAll(async () => {
    built = await buildPage("fake");
    browser = await launchBrowser();
  });
  afterEach(() => page?.context().close());
  afterAll(async () => {
    await browser?.close();
    await built?.close();
  });
  return {
    address: () => built.address,
    async open(fake: Fake = {}, options: PageOptions = {}): Promise<Page> {
      page = await openFake(browser, built, fake, options);
      return page;
    },
  };
}

export function watch(page: Page): void {
  page.on("pageerror", (error) => complaints.push(String(error.stack)));
  page.on("console", (message) => {
    if (message.type() === "error" && !/ERR_|WebGPU/.test(message.text())) complaints.push(message.text());
  });
}

/** What the page asked of the engine that stands in. */
export function callsOf(page: Page): Promise<[string, never][]> {
  return page.evaluate(() => (globalThis as unknown as { fake: { calls: [string, never][] } }).fake.calls);
}

/** Changes what the engine that stands in takes time for, and ends its waits: what passes is seen before, on any machine. */
export function hurry(page: Page, times: Pick<Fake, "delay" | "loading" | "deviceBack">): Promise<void> {
  return page.evaluate((times) => {
    Object.assign((globalThis as unknown as { fake: object }).fake, times);
    dispatchEvent(new Event("hurry"));
  }, times);
}

/** Says something and waits until it is answered. */
export async function say(page: Page, text: string): Promise<string> {
  const before = await page.locator(".answer").count();
  await page.locator("#question").fill(text);
  await page.locator("#question").press("Enter");
  await answered(page);
  await page.waitForFunction((count) => document.querySelectorAll(".answer").length > count, before);
  return page.locator(".answer .markdown").last().innerText();
}

/** Waits until nothing is being answered. */
export async function answered(page: Page, timeout = 90_000): Promise<void> {
  await page.locator(":root[data-state=idle]").waitFor({ timeout });
}

/** What browsers call a long task, in milliseconds. */
export const LONG_TASK_MS = 50;

/** By which the page's thread is known. */
const MARK = "the page that is traced";

/** What of a trace is read. */
interface TraceEvent {
  readonly name: string;
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  /** Microseconds: when it began, how long it took, and for how long of that the thread had a processor. */
  readonly ts: number;
  readonly dur?: number;
  readonly tdur?: number;
  readonly args?: { readonly chrome_mojo_event_info?: { readonly mojo_interface_tag?: string } };
}

/**
 * Milliseconds of the longest task of the page's main thread while `run` runs: those that it computed, which on a machine
 * of its own are those that it took. What others take of the processors meanwhile is not the page's.
 */
export async function longestTask(
  browser: Browser,
  page: Page,
  run: () => Promise<unknown>,
): Promise<number> {
  await browser.startTracing(page, { categories: ["toplevel", "blink.user_timing"] });
  await run();
  // Other renderers are the browser's own, such as that of its address bar.
  await page.evaluate((mark) => void performance.mark(mark), MARK);
  const { traceEvents } = JSON.parse((await browser.stopTracing()).toString()) as {
    traceEvents: TraceEvent[];
  };
  const thread = ({ pid, tid }: TraceEvent) => `${pid}:${tid}`;
  const mark = traceEvents.find(({ name }) => name === MARK);
  if (!mark) throw new Error("The trace has no mark of the page's.");
  const ofPage = traceEvents.filter((event) => thread(event) === thread(mark));
  // What a test asks of the page is no work of the page's: looking for a text among 600 messages takes longer than any.
  const asked = ofPage.filter(({ args }) =>
    /\bDevTools/.test(args?.chrome_mojo_event_info?.mojo_interface_tag ?? ""),
  );
  const tasks = ofPage.filter(
    ({ ph, name, ts: begin, dur = 0 }) =>
      ph === "X" && /RunTask/.test(name) && !asked.some(({ ts }) => ts >= begin && ts < begin + dur),
  );
  if (tasks.length === 0) throw new Error("The trace has no tasks.");
  return Math.max(...tasks.map(({ tdur = 0 }) => tdur)) / 1000;
}

/** The least of up to three of such figures: what a page does takes as long each time, and what a busy machine adds does not. */
export async function leastOf(measure: () => Promise<number>, first?: number): Promise<number> {
  let least = first ?? (await measure());
  for (let i = 0; i < 2 && least >= LONG_TASK_MS; i++) least = Math.min(least, await measure());
  return least;
}
