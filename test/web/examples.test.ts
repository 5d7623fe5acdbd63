import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { build as esbuild } from "esbuild";
import type { Browser } from "playwright-core";
import { build as vite } from "vite";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import webpack from "webpack";
import { packageRoot } from "../../node/host.ts";
import { expectBrowser, hasBrowser, launchBrowser } from "../support/browser.ts";

expectBrowser();

const TYPES: Readonly<Record<string, string>> = { ".html": "text/html", ".js": "text/javascript" };

describe.skipIf(!hasBrowser)("the examples", () => {
  let folder: string;
  let server: Server;
  let browser: Browser;
  const asked: string[] = [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "ziya-examples-"));
    await cp(join(packageRoot, "examples"), folder, { recursive: true });
    await mkdir(join(folder, "node_modules"));
    await symlink(packageRoot, join(folder, "node_modules", "ziya-webgpu"), "junction");
    server = createServer(async ({ url = "" }, response) => {
      const path = new URL(url, "http://host").pathname.replace(/\/$/, "/index.html");
      asked.push(path);
      try {
        const body = await readFile(join(folder, path));
        response.setHeader("content-type", TYPES[extname(path)] ?? "application/octet-stream");
        response.end(body);
      } catch {
        response.writeHead(404).end();
      }
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    browser = await launchBrowser();
  });

  afterAll(async () => {
    await browser?.close();
    server?.close();
    if (folder) await rm(folder, { recursive: true });
  });

  /** What the page at a path says at its end, and what it answered. */
  async function open(path: string): Promise<{ status: string; answer: string }> {
    const page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/${path}`);
    await page.waitForFunction(
      () => /[a-z]/.test(document.querySelector("#status")?.textContent ?? ""),
      null,
      {
        timeout: 60_000,
      },
    );
    const said = { status: await page.innerText("#status"), answer: await page.innerText("#answer") };
    await page.close();
    return said;
  }

  const builds: Readonly<Record<string, () => Promise<string>>> = {
    vite: async () => {
      await vite({ root: join(folder, "vite"), base: "./", configFile: false, logLevel: "error" });
      return "vite/dist/";
    },
    webpack: async () => {
      const { default: own } = await import(join(folder, "webpack", "webpack.config.mjs"));
      // Minifying takes most of its time, and comes when the worker is found.
      const config = { ...own, optimization: { minimize: false } };
      await new Promise<void>((resolve, reject) =>
        webpack(config, (error, stats) => {
          if (error || stats?.hasErrors()) reject(error ?? new Error(stats!.toString()));
          else resolve();
        }),
      );
      return "webpack/";
    },
    esbuild: async () => {
      await esbuild({
        entryPoints: [join(folder, "esbuild", "main.js")],
        bundle: true,
        format: "esm",
        outdir: join(folder, "esbuild", "dist"),
        logLevel: "error",
      });
      return "esbuild/";
    },
    static: async () => {
      await cp(join(packageRoot, "dist", "browser"), join(folder, "static", "ziya-webgpu"), {
        recursive: true,
      });
      return "static/";
    },
  };

  // Without a model each worker says that there is none.
  test.each(Object.keys(builds))("%s finds the worker without being told where", async (name) => {
    const path = await builds[name]!();
    expect((await open(path)).status).toContain("/model/ has no weights");
    expect(asked).toContain(`/${path}model/model.safetensors`);
  });

  test("a page without any bundler answers", async () => {
    const path = await builds.static!();
    const model = join(folder, path, "model");
    await cp(join(packageRoot, "models", "ziya-tiny"), model, { recursive: true });
    await writeFile(join(model, "generation_config.json"), JSON.stringify({ max_new_tokens: 8 }));
    const { status, answer } = await open(path);
    expect(status).toBe("length");
    expect(answer).toMatch(/\p{Script=Han}/u);
  });
});
