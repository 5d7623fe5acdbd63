import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { randomTokens, VARIANTS, type Variant, writeCheckpoint } from "../../fixtures/peers/checkpoint.ts";
import { ensurePeers } from "../../fixtures/peers/install.ts";
import { type Agreement, compareLogits } from "../../fixtures/peers/metrics.ts";
import { PAIRINGS, type Pairing } from "../../fixtures/peers/pairings.ts";
import { describeAdapter, llamaLogits, torchLogits, ziyaLogits } from "../../fixtures/peers/programs.ts";
import { openFolder } from "../../node/files.ts";
import { saveResults } from "../record.ts";
import { writeGguf } from "./gguf.ts";

const HELP = `Usage: npm run compare -- [options]

Logits of "ziya logits" on random checkpoints beside llama.cpp's and PyTorch's on the same weights. Ends with exit
code 1 when a mean KL divergence is above its bound, or a token is ranked first by one side only.

  --peers LIST   llama, pytorch or both with a comma between (default both)
  --tokens N     positions of each checkpoint (default 96)
  --out FILE     where the JSON goes (default bench/results/compare-<adapter>-<date>.json; "-" for none)
  --keep DIR     leave checkpoints, GGUF files and logits there
`;

interface Row extends Pairing, Agreement {
  readonly checkpoint: string;
  readonly passed: boolean;
}

/** Every pairing on one random checkpoint, whose files go to `folder`. */
async function compareVariant(
  folder: string,
  variant: Variant,
  count: number,
  pairings: readonly Pairing[],
): Promise<Row[]> {
  mkdirSync(folder, { recursive: true });
  const config = writeCheckpoint(folder, variant, "F32");
  const tokens = randomTokens(count, config.vocab_size, variant.seed);
  if (pairings.some(({ peer }) => peer === "llama")) {
    for (const type of ["F32", "F16"] as const)
      await writeGguf(openFolder(folder), ggufFile(folder, type), type);
  }
  const ours = new Map<string, Float32Array>();
  let torch: Float64Array | undefined;
  const rows: Row[] = [];
  for (const pairing of pairings) {
    const { peer, weights, cache, bound } = pairing;
    const name = `${weights}-${cache}`;
    const out = join(folder, `ziya-${name}.bin`);
    const logits = ours.get(name) ?? ziyaLogits(folder, weights, cache, tokens, out);
    ours.set(name, logits);
    let reference: Float32Array | Float64Array;
    if (peer === "pytorch") {
      torch ??= torchLogits([{ model: folder, tokens, out: join(folder, "pytorch.bin") }])[0]!;
      reference = torch;
    } else {
      const request = { model: ggufFile(folder, upper(weights)), cache: upper(cache), sequences: [tokens] };
      reference = llamaLogits(request, join(folder, `llama-${name}.bin`));
    }
    const agreement = compareLogits(reference, logits, config.vocab_size);
    const passed = agreement.meanKl < bound && agreement.sameTop === agreement.positions;
    rows.push({ checkpoint: variant.name, ...pairing, ...agreement, passed });
  }
  return rows;
}

function ggufFile(folder: string, type: "F32" | "F16"): string {
  return join(folder, `${type}.gguf`);
}

function upper(format: "f32" | "f16"): "F32" | "F16" {
  return format === "f32" ? "F32" : "F16";
}

const COLUMNS = [
  "checkpoint",
  "weights",
  "cache",
  "beside",
  "mean KL",
  "bound",
  "max KL",
  "same top-1",
  "margin",
];

function cells(row: Row): string[] {
  return [
    row.checkpoint,
    row.weights,
    row.cache,
    row.peer,
    `${row.meanKl.toExponential(1)}${row.passed ? "" : " FAILED"}`,
    row.bound.toExponential(0),
    row.maxKl.toExponential(1),
    `${row.sameTop}/${row.positions}`,
    row.leastMargin.toFixed(3),
  ];
}

function printLine(texts: readonly string[]): void {
  console.log(`| ${texts.join(" | ")} |`);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      peers: { type: "string", default: "llama,pytorch" },
      tokens: { type: "string", default: "96" },
      out: { type: "string" },
      keep: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return;
  }
  const peers = values.peers.split(",");
  const stranger = peers.find((peer) => peer !== "llama" && peer !== "pytorch");
  if (stranger !== undefined) throw new Error(`--peers has "${stranger}"; wanted llama, pytorch or both.`);
  const tokens = Number(values.tokens);
  if (!Number.isInteger(tokens) || tokens < 1) {
    throw new Error(`--tokens is "${values.tokens}"; wanted a whole number from 1 on.`);
  }
  if (peers.includes("llama")) ensurePeers();
  const pairings = PAIRINGS.filter(({ peer }) => peers.includes(peer));

  const { adapter, rung } = describeAdapter();
  console.log(`${adapter}, rung ${rung}; ${tokens} positions of each checkpoint, KL in nats\n`);
  printLine(COLUMNS);
  printLine(COLUMNS.map(() => "---"));
  const folder = values.keep ?? mkdtempSync(join(tmpdir(), "ziya-compare-"));
  const rows: Row[] = [];
  try {
    for (const [i, variant] of VARIANTS.entries()) {
      const found = await compareVariant(join(folder, `checkpoint-${i}`), variant, tokens, pairings);
      for (const row of found) printLine(cells(row));
      rows.push(...found);
    }
  } finally {
    if (values.keep === undefined) rmSync(folder, { recursive: true });
  }
  saveResults("compare", values.out, { adapter, rung, tokens, rows });
  const failed = rows.filter(({ passed }) => !passed).length;
  console.log(`\n${rows.length - failed} of ${rows.length} comparisons are within their bounds.`);
  if (failed > 0) process.exitCode = 1;
}

main().catch((error: Error) => {
  console.error(`compare: ${error.message}`);
  process.exitCode = 1;
});
