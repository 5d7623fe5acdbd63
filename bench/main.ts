import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { dawnHost, packageRoot } from "../node/host.ts";
import { describeAdapter, openDevice, type Rung } from "../src/kernels/device.ts";
import type { StoredFormat } from "../src/kernels/matrix.ts";
import { kernelSubjects } from "./kernels.ts";
import { READ_BYTES, readBandwidth, timeInterleaved } from "./measure.ts";
import { benchModel } from "./model.ts";
import { randomBuffer } from "./random.ts";
import { SHAPE_NAMES, shapeConfig } from "./shapes.ts";

const HELP = `Usage: npm run bench -- [options]

Milliseconds, GB/s and GFLOP/s of every kernel at a model's widths, each beside the share of the read bandwidth
measured next to it; then decode and prefill of a model of random weights.

  --shape NAME     ${SHAPE_NAMES.join(", ")} (default ziya-13b)
  --layers N       layers of the whole-model runs (default 2)
  --weights FORMAT f32, f16, q8, q4a or q4 (default q4)
  --tokens N       tokens of a prefill pass (default 128; 32 on a software adapter)
  --only PART      kernels or model
  --adapter NAME   part of an adapter's name
  --rung NAME      core or subgroups
  --out FILE       where the JSON goes (default bench/results/<device>-<date>.json; "-" for none)
`;

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

const FORMATS: readonly string[] = ["f32", "f16", "q8", "q4a", "q4"] satisfies StoredFormat[];

/** One line of the report. */
interface Row {
  readonly name: string;
  readonly ms: number;
  readonly gigabytesPerSecond?: number;
  readonly gigaflops?: number;
  readonly shareOfReadBandwidth?: number;
  readonly tokensPerSecond?: number;
}

async function main(): Promise<void> {
  if (!FORMATS.includes(values.weights))
    throw new Error(`--weights is "${values.weights}"; wanted ${FORMATS.join(", ")}.`);
  const format = values.weights as StoredFormat;
  const config = shapeConfig(values.shape, Number(values.layers));
  const host = dawnHost();
  const gpu = await openDevice(host, {
    ...(values.adapter ? { adapter: values.adapter } : {}),
    ...(values.rung ? { rung: values.rung as Rung } : {}),
  });
  const tokens = Number(values.tokens ?? (gpu.info.isFallbackAdapter ? 32 : 128));
  console.log(`${describeAdapter(gpu.info)}, rung ${gpu.rung}, ${values.shape} stored as ${format}\n`);
  console.log(
    `${"".padEnd(34)} ${"ms".padStart(10)} ${"GB/s".padStart(8)} ${"GFLOP/s".padStart(9)} ${"of read".padStart(8)}`,
  );

  const rows: Row[] = [];
  const data = randomBuffer(gpu, "read", READ_BYTES / 4);
  const read = await readBandwidth(gpu, data);
  if (values.only !== "model") {
    for await (const { name, dispatches, bytes, flops } of kernelSubjects(gpu, config, format, tokens)) {
      const [readMs, ms] = await timeInterleaved(gpu, [[read], dispatches]);
      const rate = bytes / ms! / 1e6;
      report(rows, {
        name,
        ms: ms!,
        gigabytesPerSecond: rate,
        gigaflops: flops / ms! / 1e6,
        shareOfReadBandwidth: rate / (READ_BYTES / readMs! / 1e6),
      });
    }
  }
  if (values.only !== "kernels") {
    const [readMs] = await timeInterleaved(gpu, [[read]]);
    const peak = READ_BYTES / readMs! / 1e6;
    const figures = await benchModel(gpu, config, format, tokens);
    const rate = figures.decodeBytes / figures.decodeMs / 1e6;
    const layers = `${config.num_hidden_layers} layers`;
    report(rows, {
      name: `decode, ${layers}`,
      ms: figures.decodeMs,
      gigabytesPerSecond: rate,
      shareOfReadBandwidth: rate / peak,
      tokensPerSecond: 1000 / figures.decodeMs,
    });
    report(rows, {
      name: `prefill x ${tokens}, ${layers}`,
      ms: figures.prefillMs,
      tokensPerSecond: (1000 * figures.prefillTokens) / figures.prefillMs,
    });
    report(rows, { name: "read_bandwidth", ms: readMs!, gigabytesPerSecond: peak });
  }
  save(describeAdapter(gpu.info), {
    rung: gpu.rung,
    shape: values.shape,
    layers: config.num_hidden_layers,
    format,
    tokens,
    rows,
  });
  gpu.destroy();
  host.release();
}

function report(rows: Row[], row: Row): void {
  rows.push(row);
  const cell = (value: number | undefined, width: number, digits: number) =>
    (value?.toFixed(digits) ?? "").padStart(width);
  const share = row.shareOfReadBandwidth;
  const speed = row.tokensPerSecond ? `  ${row.tokensPerSecond.toFixed(2)} tokens/s` : "";
  console.log(
    `${row.name.padEnd(34)} ${cell(row.ms, 10, 3)} ${cell(row.gigabytesPerSecond, 8, 2)} ${cell(row.gigaflops, 9, 2)} ` +
      `${share === undefined ? "".padStart(8) : `${(100 * share).toFixed(0)} %`.padStart(8)}${speed}`,
  );
}

function save(device: string, results: object): void {
  if (values.out === "-") return;
  const folder = join(packageRoot, "bench", "results");
  const slug = device
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "");
  const file = values.out ?? join(folder, `${slug}-${new Date().toISOString().slice(0, 10)}.json`);
  if (!values.out) mkdirSync(folder, { recursive: true });
  writeFileSync(
    file,
    `${JSON.stringify({ device, node: process.version, date: new Date().toISOString(), ...results }, null, 2)}\n`,
  );
}

if (values.help) {
  console.log(HELP);
} else {
  main().catch((error: Error) => {
    console.error(`bench: ${error.message}`);
    process.exitCode = 1;
  });
}
