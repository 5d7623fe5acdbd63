import { spawn } from "node:child_process";
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { chromium, type Page } from "playwright-core";
import { packageRoot } from "../node/host.ts";
import { embeddedModel } from "../node/index.ts";
import type { GenerationResult } from "../src/index.ts";
import { median } from "./measure.ts";
import { saveResults } from "./record.ts";

const HELP = `Usage: npm run bench:page -- [options]

Seconds from the start to the first token of ziya-tiny, and tokens per second of a long answer: in a page of Chromium, whose
engine is in a worker, and in a process of Node, in turns on the same software adapter, SwiftShader.

  --turns N    of each, of which the median counts (default 5)
  --out FILE   where the JSON goes (default bench/results/page-<adapter>-<date>.json; "-" for none)
`;

const CHROMIUM = process.env.CHROMIUM_PATH ?? "/usr/bin/chromium";
const SWIFTSHADER = "/usr/lib/chromium/vk_swiftshader_icd.json";

/** An answer that does not end before its 300 tokens: drawn wildly, by a seed, so that both have the same one. */
const LONG = { temperature: 30, top_k: 64, top_p: 1, seed: 2, max_tokens: 300 };
const PROMPT = "苹果";
/** Kernels that both have: a browser may offer other features than Dawn does, and others round a draw otherwise. */
const DECODE = "f32 4x2";

const PAGE = `<!doctype html><title>bench</title><script type="module">
  import { loadEngine } from "./ziya/index.js";
  const engine = await loadEngine("model/", { decode: ${JSON.stringify(DECODE)} });
  for await (const piece of engine.generate(${JSON.stringify(PROMPT)}, ${JSON.stringify({ ...LONG, max_tokens: 1 })}));
  globalThis.first = true;
  globalThis.answer = () => engine.generate(${JSON.stringify(PROMPT)}, ${JSON.stringify(LONG)}).complete();
</script>`;

interface Run {
  /** Seconds to the first token, from the navigation or the start of the process. */
  readonly first: number;
  readonly result: GenerationResult;
}

async function servePage(): Promise<{ address: string; close(): void }> {
  const folders = { ziya: join(packageRoot, "dist", "browser"), model: embeddedModel };
  const server = createServer(({ url = "", headers }, response) => {
    const [, folder = "", name = ""] = url.split("/");
    if (folder === "") return response.setHeader("content-type", "text/html").end(PAGE);
    const path = folder in folders && join(folders[folder as keyof typeof folders], name);
    if (!path || !existsSync(path)) return response.writeHead(404).end();
    response.setHeader("content-type", name.endsWith(".js") ? "text/javascript" : "application/octet-stream");
    const { size } = statSync(path);
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? "") ?? [];
    if (from === undefined) return createReadStream(path).pipe(response);
    const [start, end] = [Number(from), Math.min(Number(to), size - 1)];
    response.writeHead(206, {
      "content-range": `bytes ${start}-${end}/${size}`,
      "content-length": end - start + 1,
    });
    createReadStream(path, { start, end }).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { address: `http://127.0.0.1:${port}/`, close: () => server.close() };
}

async function runPage(page: Page, address: string): Promise<Run> {
  const start = performance.now();
  await page.goto(address);
  await page.waitForFunction("globalThis.first", null, { timeout: 120_000, polling: 10 });
  const first = (performance.now() - start) / 1000;
  return { first, result: (await page.evaluate("answer()")) as GenerationResult };
}

/** Two processes: one is timed until it writes, the other tells what it measured. */
async function runNode(): Promise<Run> {
  const start = performance.now();
  let first = 0;
  await runZiya({ ...LONG, max_tokens: 1 }, [], () => {
    first ||= (performance.now() - start) / 1000;
  });
  const said = await runZiya(LONG, ["--json"], () => {});
  return { first, result: JSON.parse(said.trim().split("\n").at(-1)!) };
}

function runZiya(options: object, more: readonly string[], onText: () => void): Promise<string> {
  const flags = Object.entries(options).flatMap(([name, value]) => [
    `--${name.replaceAll("_", "-")}`,
    String(value),
  ]);
  const program = join(packageRoot, "dist", "node", "cli.js");
  const child = spawn(
    process.execPath,
    [program, "generate", "--prompt", PROMPT, "--decode", DECODE, ...flags, ...more],
    {
      env: { ...process.env, VK_DRIVER_FILES: SWIFTSHADER },
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  return new Promise((resolve, reject) => {
    let said = "";
    child.stdout.on("data", (bytes) => {
      onText();
      said += bytes;
    });
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve(said) : reject(new Error(`ziya ended with ${code}.`))));
  });
}

const { values } = parseArgs({
  options: { help: { type: "boolean" }, turns: { type: "string", default: "5" }, out: { type: "string" } },
});
if (values.help) process.stdout.write(HELP);
else await main(Number(values.turns));

async function main(turns: number): Promise<void> {
  const server = await servePage();
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ["--headless=new", "--no-sandbox", "--enable-unsafe-webgpu", "--disable-background-networking"],
  });
  const runs: Record<"first visit" | "page" | "node", Run[]> = { "first visit": [], page: [], node: [] };
  try {
    for (let turn = 0; turn < turns; turn++) {
      const context = await browser.newContext();
      for (const visit of ["first visit", "page"] as const) {
        const page = await context.newPage();
        runs[visit].push(await runPage(page, server.address));
        await page.close();
      }
      await context.close();
      runs.node.push(await runNode());
    }
  } finally {
    await browser.close();
    server.close();
  }
  const figures = Object.fromEntries(
    Object.entries(runs).map(([where, all]) => [
      where,
      {
        first_token_s: median(all.map(({ first }) => first)),
        decode_tokens_per_second: median(all.map(({ result }) => result.timings.decode_tokens_per_second!)),
        completion_tokens: all[0]!.result.usage.completion_tokens,
        same_text: all.every(({ result }) => result.text === runs.node[0]!.result.text),
      },
    ]),
  );
  process.stdout.write(`${JSON.stringify(figures, null, 2)}\n`);
  saveResults("page", values.out, { adapter: "SwiftShader", turns, ...figures });
}
