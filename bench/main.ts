import { parseArgs } from "node:util";
import { SHAPE_NAMES, shapeConfig } from "../fixtures/shapes.ts";
import { dawnHost } from "../node/host.ts";
import { READ_BYTES, readBandwidth } from "../src/benchmark/read.ts";
import { describeAdapter } from "../src/gpu/adapter.ts";
import { openDevice } from "../src/gpu/device.ts";
import { presetOf, type Rung } from "../src/gpu/features.ts";
import { WEIGHT_FORMATS } from "../src/stored.ts";
import { benchCache } from "./cache.ts";
import { kernelSubjects } from "./kernels.ts";
import { type Measured, timeInterleaved } from "./measure.ts";
import { benchModel } from "./model.ts";
import { choice, count } from "./options.ts";
import { saveResults } from "./record.ts";
import { benchTogether } from "./together.ts";

const HELP = `Usage: npm run bench -- [options]

Milliseconds, GB/s and GFLOP/s of every kernel at a model's widths, each beside the share of the read bandwidth
measured next to it; then its cache: pages copied, saved and restored; then decode and prefill of a model
of random weights; then a token of each of eight conversations at once, beside one alone.

  --shape NAME     ${SHAPE_NAMES.join(", ")} (default ziya-13b)
  --layers N       layers of the whole-model runs (default 2)
  --weights FORMAT f32, f16, q8 or q4 (default q4)
  --tokens N       tokens of a prefill pass (default 128; 32 on a software adapter)
  --only PART      kernels, cache, model or together
  --adapter NAME   part of an adapter's name
  --rung NAME      core, subgroups, dot or half
  --out FILE       where the JSON goes (default bench/results/bench-<shape>-<weights>-<adapter>-<date>.json, with --only
                   its PART too; "-" for none)
`;

const PARTS = ["kernels", "cache", "model", "together"] as const;

/** One line of the report. */
interface Row {
  readonly name: string;
  readonly ms: number;
  readonly gigabytesPerSecond: number;
  readonly gigaflops: number;
  readonly shareOfReadBandwidth: number;
  readonly tokensPerSecond?: number;
}

function readOptions() {
  const { values } = parseArgs({
    options: {
      shape: { type: "string", default: "ziya-13b" },
      layers: { type: "string", default: "2" },
      weights: { type: "string", default: "q4" },
      tokens: { type: "string" },
      only: { type: "string" },
      adapter: { type: "string" },
      rung: { type: "string" },
      out: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  const { shape, adapter, rung, out, help } = values;
  return {
    config: shapeConfig(shape, count("layers", values.layers)),
    shape,
    format: choice("weights", values.weights, WEIGHT_FORMATS),
    tokens: values.tokens === undefined ? undefined : count("tokens", values.tokens),
    only: values.only === undefined ? undefined : choice("only", values.only, PARTS),
    device: { ...(adapter ? { adapter } : {}), ...(rung ? { rung: rung as Rung } : {}) },
    out,
    help,
  };
}

async function main(): Promise<void> {
  const { config, shape, format, only, device, out, help, ...options } = readOptions();
  if (help) {
    console.log(HELP);
    return;
  }
  const host = dawnHost();
  const gpu = await openDevice(host, device);
  const adapter = describeAdapter(gpu.info);
  const preset = presetOf(gpu.features);
  const tokens = options.tokens ?? (gpu.info.isFallbackAdapter ? 32 : 128);
  if (2 * tokens > config.max_position_embeddings) {
    throw new Error(
      `--tokens is ${tokens}; wanted half of the ${config.max_position_embeddings} of the context at most.`,
    );
  }
  console.log(`${adapter}, rung ${preset}, ${shape} stored as ${format}\n`);
  console.log(line("", ["ms", "GB/s", "GFLOP/s", "of read"]));

  const rows: Row[] = [];
  const { dispatch: read } = await readBandwidth(gpu);
  const report = ({ name, ms, bytes, flops, tokensPerSecond }: Measured, readMs: number) => {
    const row = {
      name,
      ms,
      gigabytesPerSecond: bytes / ms / 1e6,
      gigaflops: flops / ms / 1e6,
      shareOfReadBandwidth: bytes / ms / (READ_BYTES / readMs),
      ...(tokensPerSecond === undefined ? {} : { tokensPerSecond }),
    };
    rows.push(row);
    console.log(describe(row));
  };
  const runs = (part: (typeof PARTS)[number]) => only === undefined || only === part;
  if (runs("kernels")) {
    for await (const { name, dispatches, bytes, flops } of kernelSubjects(gpu, config, format, tokens)) {
      const [readMs, ms] = await timeInterleaved(gpu, [[read], dispatches]);
      report({ name, ms: ms!, bytes, flops }, readMs!);
    }
  }
  const [readMs] = await timeInterleaved(gpu, [[read]]);
  if (runs("cache")) {
    for (const figures of await benchCache(gpu, config, format)) report(figures, readMs!);
  }
  if (runs("model")) {
    for (const figures of await benchModel(gpu, config, format, tokens)) report(figures, readMs!);
  }
  if (runs("together")) {
    for (const figures of await benchTogether(gpu, config, format)) report(figures, readMs!);
  }
  report({ name: "read_bandwidth", ms: readMs!, bytes: READ_BYTES, flops: 0 }, readMs!);
  const name = ["bench", shape, format, ...(only ? [only] : [])].join("-");
  const layers = config.num_hidden_layers;
  saveResults(name, out, { adapter, rung: preset, shape, layers, format, tokens, rows });
  gpu.destroy();
  host.release();
}

function describe({
  name,
  ms,
  gigabytesPerSecond,
  gigaflops,
  shareOfReadBandwidth,
  tokensPerSecond,
}: Row): string {
  const share = `${(100 * shareOfReadBandwidth).toFixed(0)} %`;
  const speed = tokensPerSecond === undefined ? "" : `  ${tokensPerSecond.toFixed(2)} tokens/s`;
  return line(name, [ms.toFixed(3), gigabytesPerSecond.toFixed(2), gigaflops.toFixed(2), share]) + speed;
}

function line(name: string, [ms, rate, flops, share]: readonly [string, string, string, string]): string {
  return `${name.padEnd(34)} ${ms.padStart(10)} ${rate.padStart(8)} ${flops.padStart(9)} ${share.padStart(8)}`;
}

main().catch((error: Error) => {
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
});
