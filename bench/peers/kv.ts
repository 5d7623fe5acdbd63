import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Agreement, compareLogits } from "../../fixtures/peers/metrics.ts";
import { dawnHost, embeddedModel, loadEngine, openModel } from "../../node/index.ts";
import { bytesSource, type OpenFile } from "../../src/checkpoint/source.ts";
import { describeAdapter } from "../../src/gpu/adapter.ts";
import { openDevice } from "../../src/gpu/device.ts";
import type { Host } from "../../src/host.ts";
import { CACHE_FORMATS, type CacheFormat, isMixed } from "../../src/kernels/cache.ts";
import { loadModel } from "../../src/model/load-model.ts";
import { saveResults } from "../record.ts";
import { heldOut } from "./sequences.ts";

const HELP = `Usage: npm run compare:kv -- [options]

What a narrower KV cache costs: KL divergence of the embedded model's next-token distributions from those over a cache in f32,
for each format, and for q8 and q4 without the transform that mixes their groups.

  --tokens N   of the text (default 4096, a multiple of 2048): held-out questions and their answers, cut into full contexts
  --out FILE   where the JSON goes (default bench/results/kv-<adapter>-<date>.json; "-" for none)
`;

/** The model's own context, and four times as long, for which positions are scaled: it was trained with 512. */
const STRETCHES = [1, 4];

/** In place of hadamard.wgsl. */
const UNMIXED = `
override HADAMARD_LANES: u32 = 8u;
fn hadamard(x: vec4f, lane: u32) -> vec4f {
  return x;
}`;

interface Row extends Agreement {
  readonly context: number;
  readonly cache: CacheFormat;
  readonly mixed: boolean;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      tokens: { type: "string", default: "4096" },
      out: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return;
  }
  const count = Number(values.tokens);
  if (!(count > 0 && count % 2048 === 0)) {
    throw new Error(`--tokens is "${values.tokens}"; wanted a multiple of 2048.`);
  }
  const host = dawnHost();
  const text = await readText(host, count);
  const rows: Row[] = [];
  let adapter = "";
  printLine(["context", "cache", "tokens", "mean KL", "max KL", "same top-1"]);
  printLine(["---:", "---", "---:", "---:", "---:", "---:"]);
  for (const stretch of STRETCHES) {
    const { open, context } = stretched(stretch);
    const logitsOf = async (cache: CacheFormat, on: Host) => {
      const gpu = await openDevice(on);
      adapter = describeAdapter(gpu.info);
      const model = await loadModel(gpu, open, { weights: "f16", cache });
      const { vocab_size: vocab } = model.config;
      const logits = new Float32Array(count * vocab);
      let at = 0;
      for (let first = 0; first < count; first += context) {
        for await (const rows of model.logits(text.slice(first, first + context))) {
          logits.set(rows, at);
          at += rows.length;
        }
      }
      gpu.destroy();
      return { logits, vocab };
    };
    const { logits: reference, vocab } = await logitsOf("f32", host);
    for (const cache of CACHE_FORMATS.filter((format) => format !== "f32")) {
      for (const mixed of isMixed(cache) ? [true, false] : [false]) {
        const { logits } = await logitsOf(cache, isMixed(cache) && !mixed ? unmixing(host) : host);
        const row = { context, cache, mixed, ...compareLogits(reference, logits, vocab) };
        rows.push(row);
        printLine([
          String(context),
          isMixed(cache) && !mixed ? `${cache}, not mixed` : cache,
          String(row.positions),
          row.meanKl.toExponential(2),
          row.maxKl.toExponential(1),
          `${((100 * row.sameTop) / row.positions).toFixed(2)} %`,
        ]);
      }
    }
  }
  host.release();
  saveResults("kv", values.out, { adapter, tokens: count, rows });
}

/** A host whose groups are rounded as they are. */
function unmixing({ gpu, readShader }: Host): Host {
  return { gpu, readShader: async (name) => (name === "hadamard" ? UNMIXED : readShader(name)) };
}

/** The embedded model with positions that many times as close, and a context that many times as long. */
function stretched(factor: number): { open: OpenFile; context: number } {
  const open = openModel();
  const json = JSON.parse(readFileSync(join(embeddedModel, "config.json"), "utf8"));
  const context = factor * json.max_position_embeddings;
  const scaling = factor === 1 ? {} : { rope_scaling: { type: "linear", factor } };
  const config = JSON.stringify({ ...json, ...scaling, max_position_embeddings: context });
  const bytes = new TextEncoder().encode(config);
  return {
    open: async (name) => (name === "config.json" ? bytesSource(name, bytes) : open(name)),
    context,
  };
}

/** Held-out questions of all skills in turn, each with its answer, as one text of `count` tokens. */
async function readText(host: Host, count: number): Promise<number[]> {
  const engine = await loadEngine(host, openModel(), { context: 16, chunk: 1 });
  const text: number[] = [];
  try {
    for (let turn = 0; text.length < count; turn++) {
      const questions = heldOut(engine, embeddedModel, turn, turn + 1);
      if (questions.length === 0)
        throw new Error(`There are ${text.length} held-out tokens; wanted ${count}.`);
      for (const { tokens } of questions) text.push(...tokens);
    }
  } finally {
    engine.destroy();
  }
  return text.slice(0, count);
}

function printLine(texts: readonly string[]): void {
  console.log(`| ${texts.join(" | ")} |`);
}

main().catch((error: Error) => {
  console.error(`compare:kv: ${error.message}`);
  process.exitCode = 1;
});
