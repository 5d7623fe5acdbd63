import { spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream, existsSync, statSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { chromium, type Page } from "playwright-core";
import { packageRoot } from "../node/host.ts";
import { embeddedModel } from "../node/index.ts";
import { median } from "./measure.ts";
import { saveResults } from "./record.ts";

const HELP = `Usage: npm run bench:page -- [options]

Seconds from the start to the first token of ziya-tiny, and tokens per second of an answer of 300 as its reader gets them: in a
page of Chromium, whose engine is in a worker, and in a process of Node, in turns on the same software adapter, SwiftShader.
Both have to give the same text of the same ids.

  --turns N    of each, of which the median counts (default 3)
  --out FILE   where the JSON goes (default bench/results/page-<adapter>-<date>.json; "-" for none)
`;

const CHROMIUM = process.env.CHROMIUM_PATH ?? "/usr/bin/chromium";
const SWIFTSHADER = "/usr/lib/chromium/vk_swiftshader_icd.json";

/** Kernels that both have: a browser may offer other features than Dawn does, and others round a draw otherwise. */
const LOADING = JSON.stringify({ decode: "f32 4x2", prefill: "f32 matmul" });
const PROMPT = JSON.stringify("苹果");
/** An answer that does not end before its 300 tokens: drawn wildly, by a seed, so that both have the same one. */
const LONG = { temperature: 30, top_k: 64, top_p: 1, seed: 2, max_tokens: 300 };

/** What both run of an engine, as text: its first token. */
const FIRST = `async (engine) => {
  await engine.generate(${PROMPT}, ${JSON.stringify({ ...LONG, max_tokens: 1 })}).complete();
}`;
/** What both run then: the long answer, timed where it is read, from its first piece on. */
const ANSWER = `async (engine) => {
  const answer = engine.generate(${PROMPT}, ${JSON.stringify(LONG)});
  let first;
  for await (const _ of answer) first ??= performance.now();
  const seconds = (performance.now() - first) / 1000;
  const { text, usage } = await answer.result;
  return { text, tokens: usage.completion_tokens, rate: (usage.completion_tokens - 1) / seconds };
}`;

const PAGE = `<!doctype html><meta charset="utf-8"><title>bench</title><script type="module">
  import { loadEngine } from "./ziya/index.js";
  const engine = await loadEngine("model/", ${LOADING});
  await (${FIRST})(engine);
  globalThis.first = true;
  globalThis.answer = () => (${ANSWER})(engine);
  globalThis.cached = async (ids) => (await engine.generate(ids, { max_tokens: 1 }).complete()).usage.cached_tokens;
</script>`;

/** Tells of the first token by a line, and by another of the answer and the ids of prompt and answer. */
const PROGRAM = `
  import { load } from ${JSON.stringify(pathToFileURL(join(packageRoot, "dist", "node", "index.js")).href)};
  const engine = await load(${LOADING});
  await (${FIRST})(engine);
  console.log("first");
  const ids = [];
  const { tokenizer } = engine;
  const stream = tokenizer.stream.bind(tokenizer);
  tokenizer.stream = () => {
    const decoder = stream();
    return { push: (id) => { ids.push(id); return decoder.push(id); }, end: () => decoder.end() };
  };
  const answer = await (${ANSWER})(engine);
  console.log(JSON.stringify({ ...answer, ids }));
  engine.destroy();`;

interface Answer {
  readonly text: string;
  readonly tokens: number;
  /** Tokens per second. */
  readonly rate: number;
}

interface Run {
  /** Seconds to the first token, from the navigation or the start of the process. */
  readonly first: number;
  readonly answer: Answer;
}

interface NodeRun extends Run {
  readonly answer: Answer & { readonly ids: readonly number[] };
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

/** Seconds from the navigation to the first token. */
async function openPage(page: Page, address: string): Promise<number> {
  const start = performance.now();
  await page.goto(address);
  await page.waitForFunction("globalThis.first", null, { timeout: 120_000, polling: 10 });
  return (performance.now() - start) / 1000;
}

function expectSame(who: string, { text, tokens }: Answer, wanted: Answer): void {
  if (text === wanted.text && tokens === wanted.tokens) return;
  throw new Error(`${who} answers with ${tokens} tokens, ${text}; wanted ${wanted.tokens}, ${wanted.text}.`);
}

/** @throws Error unless text and ids are those of Node. */
async function runPage(page: Page, address: string, wanted: NodeRun["answer"]): Promise<Run> {
  const first = await openPage(page, address);
  const answer = (await page.evaluate("answer()")) as Answer;
  expectSame("The page", answer, wanted);
  // What the cache has of Node's ids are ids of the page's own. The last one was not run: the text has it.
  const same = await page.evaluate(`cached(${JSON.stringify(wanted.ids)})`);
  if (same !== wanted.ids.length - 1) {
    throw new Error(`Of Node's ${wanted.ids.length} ids the page has ${same} in its cache: it drew others.`);
  }
  return { first, answer };
}

async function runNode(): Promise<NodeRun> {
  const start = performance.now();
  const child = spawn(process.execPath, ["--input-type=module", "--eval", PROGRAM], {
    env: { ...process.env, VK_DRIVER_FILES: SWIFTSHADER },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let first = 0;
  let said = "";
  child.stdout.on("data", (bytes) => {
    first ||= (performance.now() - start) / 1000;
    said += bytes;
  });
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`Node ended with ${code}.`);
  return { first, answer: JSON.parse(said.trim().split("\n").at(-1)!) };
}

const { values } = parseArgs({
  options: { help: { type: "boolean" }, turns: { type: "string", default: "3" }, out: { type: "string" } },
});
if (values.help) process.stdout.write(HELP);
else await main(Number(values.turns));

async function main(turns: number): Promise<void> {
  const server = await servePage();
  const browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ["--headless=new", "--no-sandbox", "--enable-unsafe-webgpu", "--disable-background-networking"],
  });
  const firstVisits: number[] = [];
  const runs: Record<"page" | "node", Run[]> = { page: [], node: [] };
  let wanted: NodeRun["answer"] | undefined;
  try {
    for (let turn = 0; turn < turns; turn++) {
      const node = await runNode();
      wanted ??= node.answer;
      expectSame("Node's next process", node.answer, wanted);
      runs.node.push(node);
      const context = await browser.newContext();
      const page = await context.newPage();
      firstVisits.push(await openPage(page, server.address));
      await page.close();
      const again = await context.newPage();
      runs.page.push(await runPage(again, server.address, wanted));
      await context.close();
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
        tokens_per_second: median(all.map(({ answer }) => answer.rate)),
        completion_tokens: all[0]!.answer.tokens,
      },
    ]),
  );
  const ratio = (of: (turn: number) => number) => median(runs.node.map((_, turn) => of(turn)));
  const results = {
    ...figures,
    "first visit": { first_token_s: median(firstVisits) },
    // Of a turn each, and of those the median.
    "page over node": {
      first_visit_first_token: ratio((turn) => firstVisits[turn]! / runs.node[turn]!.first),
      first_token: ratio((turn) => runs.page[turn]!.first / runs.node[turn]!.first),
      tokens_per_second: ratio((turn) => runs.page[turn]!.answer.rate / runs.node[turn]!.answer.rate),
    },
    turns: runs.node.map(({ first, answer }, turn) => ({
      node: { first, rate: answer.rate },
      page: { first: runs.page[turn]!.first, rate: runs.page[turn]!.answer.rate },
      first_visit: firstVisits[turn],
    })),
  };
  process.stdout.write(`${JSON.stringify(results, null, 2)}\n`);
  saveResults("page", values.out, { adapter: "SwiftShader", ...results });
}
