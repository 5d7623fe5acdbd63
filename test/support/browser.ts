import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { SLOW_ON_SWIFTSHADER } from "./gpu.ts";
import { type SourceServer, serveSources } from "./sources.ts";

const executablePath = process.env.CHROMIUM_PATH ?? "/usr/bin/chromium";

/** Whether the tests that need a browser can run; in CI they have to. */
export const hasBrowser: boolean = existsSync(executablePath);

/** Tells, in CI by a failure, that a file's tests are skipped for want of a browser. */
export function expectBrowser(): void {
  if (!hasBrowser) {
    console.warn(
      `Nothing is tested in a browser: Chromium is not at ${executablePath}; install it or set CHROMIUM_PATH.`,
    );
  }
  test.runIf(process.env.CI)("there is a browser in CI", () => {
    expect(hasBrowser, `Chromium is not at ${executablePath}; install it or set CHROMIUM_PATH`).toBe(true);
  });
}

const args = [
  "--headless=new",
  "--no-sandbox",
  "--enable-unsafe-webgpu",
  `--disable-dawn-features=${SLOW_ON_SWIFTSHADER}`,
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
];

/** Chromium without a window, with WebGPU on SwiftShader. What its pages store is in memory only. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath, args });
}

/** As launchBrowser(), but what its pages store is on the disk, as a person's browser has it, until it is closed. */
export async function launchProfile(): Promise<BrowserContext> {
  const folder = await mkdtemp(join(tmpdir(), "ziya-profile-"));
  const context = await chromium.launchPersistentContext(folder, { executablePath, args });
  context.on("close", () => rm(folder, { recursive: true, force: true, maxRetries: 10 }));
  return context;
}

/** A browser and a server of the sources, for the tests of a suite. */
export function useSources(): { readonly browser: Browser; readonly server: SourceServer } {
  let browser: Browser | undefined;
  let server: SourceServer | undefined;
  beforeAll(async () => {
    server = await serveSources();
    browser = await launchBrowser();
  });
  afterAll(async () => {
    await browser?.close();
    await server?.close();
  });
  return {
    get browser() {
      return browser!;
    },
    get server() {
      return server!;
    },
  };
}

/** Runs `code` in each worker of a page before the worker's own program: what a page's init scripts do for the page. */
export async function beforeWorkers(page: Page, code: string): Promise<void> {
  await page.route(/\/worker[^/]*\.[jt]s(\?|$)/, async (route) => {
    const response = await route.fetch();
    await route.fulfill({ response, body: `{ ${code} }\n${await response.text()}` });
  });
}
