import { createReadStream, statSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import type { Part } from "../fixtures/synthetic.ts";
import { convert } from "../node/convert/convert.ts";
import type { SourceDescription } from "../node/convert/inputs.ts";
import { packageRoot } from "../node/host.ts";
import { type DawnHost, dawnHost, embeddedModel } from "../node/index.ts";
import { describeAdapter } from "../src/gpu/adapter.ts";
import { openDevice } from "../src/gpu/device.ts";
import type { WeightFormat } from "../src/stored.ts";
import { median } from "./measure.ts";
import { saveResults } from "./record.ts";

const HELP = `Usage: npm run bench:load -- [options]

Seconds until ziya-tiny and a model of the 13B's width are loaded: stored as f16 and q4 out of halves, and q4 that is
packed; from files, and over HTTP from a server on this machine.

  --layers N       of the wide model (default 2; 0 leaves it out)
  --repeats N      loads of each, of which the median counts (default 5)
  --latency MS     from a request until the server answers (default 30)
  --against DIR    another checkout, built, that takes turns with this one
  --out FILE       where the JSON goes (default bench/results/load-<adapter>-<date>.json; "-" for none)
`;

type Library = typeof import("../node/index.ts");

/** Serves the files under a folder by range, each answer after a while. In a thread of its own, as a server is elsewhere. */
function serve({ root, latency }: { root: string; latency: number }): void {
  const server = createServer((request, response) => {
    setTimeout(() => {
      const path = join(root, decodeURIComponent(request.url!));
      const size = statSync(path, { throwIfNoEntry: false })?.size;
      const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
      if (size === undefined || !range) return void response.writeHead(404).end();
      const [start, end] = [Number(range[1]), Math.min(Number(range[2]), size - 1)];
      response.writeHead(206, {
        "content-length": end - start + 1,
        "content-range": `bytes ${start}-${end}/${size}`,
      });
      createReadStream(path, { start, end, highWaterMark: 1 << 20 }).pipe(response);
    }, latency);
  });
  server.listen(0, "127.0.0.1", () => parentPort!.postMessage((server.address() as AddressInfo).port));
}

async function startServer(root: string, latency: number): Promise<{ url: string; worker: Worker }> {
  const worker = new Worker(new URL(import.meta.url), { workerData: { root, latency } });
  const port = await new Promise<number>((resolve) => worker.once("message", resolve));
  return { url: `http://127.0.0.1:${port}/`, worker };
}

/** A synthetic release of few layers, converted. */
async function makeWide(out: string, weights: WeightFormat, layers: number): Promise<void> {
  const source = (part: Part): SourceDescription => ({
    kind: "module",
    url: new URL("../fixtures/synthetic.js", import.meta.url).href,
    name: "syntheticRelease",
    argument: { part, seed: 1, layers },
  });
  await convert({ inputs: { base: source("base"), delta: source("delta") }, weights, out, workers: 2 });
}

/** Seconds of one load, onto a device of its own. */
async function timeLoad(
  { loadEngine, openFolder, httpFolder }: Library,
  host: DawnHost,
  from: string,
  weights: WeightFormat | undefined,
): Promise<number> {
  const open = from.startsWith("http:") ? httpFolder(from) : openFolder(from);
  const start = performance.now();
  const engine = await loadEngine(host, open, { context: 64, chunk: 16, ...(weights ? { weights } : {}) });
  const seconds = (performance.now() - start) / 1000;
  engine.destroy();
  return seconds;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      layers: { type: "string", default: "2" },
      repeats: { type: "string", default: "5" },
      latency: { type: "string", default: "30" },
      against: { type: "string" },
      out: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return void process.stdout.write(HELP);
  const [layers, repeats, latency] = [values.layers, values.repeats, values.latency].map(Number) as [
    number,
    number,
    number,
  ];
  const builds: [string, Library, DawnHost][] = [];
  for (const root of [packageRoot, ...(values.against === undefined ? [] : [resolve(values.against)])]) {
    const library = (await import(pathToFileURL(join(root, "dist/node/index.js")).href)) as Library;
    builds.push([root === packageRoot ? "this" : "other", library, library.dawnHost()]);
  }
  const host = dawnHost();
  const gpu = await openDevice(host);
  const adapter = describeAdapter(gpu.info);
  gpu.destroy();
  host.release();

  const scratch = await mkdtemp(join(tmpdir(), "bench-load-"));
  const [halves, packed] = [join(scratch, "halves"), join(scratch, "packed")];
  const rows: object[] = [];
  try {
    if (layers > 0) {
      await makeWide(halves, "f16", layers);
      await makeWide(packed, "q4", layers);
    }
    for (const folder of [embeddedModel, ...(layers > 0 ? [halves, packed] : [])]) {
      const { url, worker } = await startServer(folder, latency);
      for (const weights of folder === packed ? [undefined] : (["f16", "q4"] as const)) {
        for (const from of [folder, url]) {
          const seconds = builds.map((): number[] => []);
          for (let i = 0; i < repeats; i++) {
            for (const [b, [, library, own]] of builds.entries()) {
              seconds[b]!.push(await timeLoad(library, own, from, weights));
            }
          }
          const medians = builds.map(([name], b): [string, number] => [name, median(seconds[b]!)]);
          const name = `${basename(folder)} as ${weights ?? "it is"}, ${from === url ? "HTTP" : "files"}`;
          rows.push({ name, seconds: Object.fromEntries(medians) });
          console.log(`${name}: ${medians.map(([build, s]) => `${build} ${s.toFixed(2)} s`).join(", ")}`);
        }
      }
      await worker.terminate();
    }
  } finally {
    await rm(scratch, { recursive: true });
    for (const [, , own] of builds) own.release();
  }
  saveResults("load", values.out, { adapter, layers, repeats, latency_ms: latency, rows });
}

if (isMainThread) await main();
else serve(workerData);
