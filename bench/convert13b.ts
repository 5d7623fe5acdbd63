import { mkdir, writeFile } from "node:fs/promises";
import { availableParallelism, cpus, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Part } from "../fixtures/synthetic.ts";
import { convert } from "../node/convert/convert.ts";
import type { SourceDescription } from "../node/convert/inputs.ts";
import { packageRoot } from "../node/host.ts";
import { WEIGHT_FORMATS } from "../src/stored.ts";

const HELP = `Usage: npm run convert13b -- --out DIR [options]

Converts a synthetic release of Ziya-LLaMA-13B at full size, base and delta: throughput, peak memory and the result's
size. The release is made while it is read; only the result needs disk.

  --out DIR        where the result goes (7.4 GB as q4)
  --layers N       a smaller release (default: all 40)
  --weights NAME   the result's format (default q4)
  --workers N      threads (default: one for each processor)
  --seed N         which random weights (default 1)
  --results FILE   where the log goes (default, of all 40 layers only: bench/results/convert13b-DATE.json)
`;

/** Between two entries of the log. */
const SAMPLE_MS = 5000;

interface Sample {
  readonly seconds: number;
  readonly input_bytes: number;
  /** Peak resident memory of the whole process so far. */
  readonly peak_bytes: number;
}

const { values } = parseArgs({
  options: {
    out: { type: "string" },
    layers: { type: "string" },
    weights: { type: "string", default: "q4" },
    workers: { type: "string", default: String(availableParallelism()) },
    seed: { type: "string", default: "1" },
    results: { type: "string" },
    help: { type: "boolean" },
  },
});
if (values.help || values.out === undefined) {
  process.stdout.write(HELP);
  process.exit(values.help ? 0 : 2);
}

const layers = values.layers === undefined ? undefined : Number(values.layers);
const source = (part: Part): SourceDescription => ({
  kind: "module",
  url: new URL("../fixtures/synthetic.js", import.meta.url).href,
  name: "syntheticRelease",
  argument: { part, seed: Number(values.seed), ...(layers === undefined ? {} : { layers }) },
});
const weights = WEIGHT_FORMATS.find((name) => name === values.weights);
if (!weights) throw new Error(`--weights is ${values.weights}; wanted ${WEIGHT_FORMATS.join(", ")}.`);

const start = performance.now();
const samples: Sample[] = [];
let next = 0;
const sample = (read: number): Sample => ({
  seconds: Math.round((performance.now() - start) / 100) / 10,
  input_bytes: read,
  peak_bytes: process.resourceUsage().maxRSS * 1024,
});
const report = await convert({
  inputs: { base: source("base"), delta: source("delta") },
  weights,
  out: values.out,
  workers: Number(values.workers),
  onProgress: (read, done, total) => {
    const now = sample(read);
    if (now.seconds < next) return;
    next = now.seconds + SAMPLE_MS / 1000;
    samples.push(now);
    const rate = read / now.seconds / 1e6;
    process.stderr.write(
      `${now.seconds} s  ${((done / total) * 100).toFixed(1)} %  ${rate.toFixed(0)} MB/s  peak ${(now.peak_bytes / 1e6).toFixed(0)} MB\n`,
    );
  },
});
if (!report) throw new Error(`${values.out} is finished already: choose another folder.`);

const { user, system } = process.cpuUsage();
const { folder: _, tensors, ...figures } = report;
const summary = {
  date: new Date().toISOString(),
  processors: `${cpus().length} x ${cpus()[0]?.model}`,
  memory_bytes: totalmem(),
  node: process.version,
  workers: Number(values.workers),
  input_bytes_per_second: report.input_bytes / report.seconds,
  peak_bytes: process.resourceUsage().maxRSS * 1024,
  processor_seconds: (user + system) / 1e6,
  layers: layers ?? 40,
  ...figures,
};
process.stdout.write(`${JSON.stringify(summary, undefined, 1)}\n`);
if (values.results !== undefined || layers === undefined) {
  const file =
    values.results ?? join(packageRoot, "bench", "results", `convert13b-${summary.date.slice(0, 10)}.json`);
  await mkdir(join(file, ".."), { recursive: true });
  await writeFile(file, `${JSON.stringify({ ...summary, samples, tensors }, undefined, 1)}\n`);
}
