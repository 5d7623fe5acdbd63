import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { ensurePeers } from "../../fixtures/peers/install.ts";
import type { Agreement } from "../../fixtures/peers/metrics.ts";
import { describeAdapter, llamaLogits, llamaQuantize } from "../../fixtures/peers/programs.ts";
import {
  type Config,
  type Engine,
  embeddedModel,
  type Importance,
  type LlamaModel,
  load,
  type NodeOptions,
  openModel,
} from "../../node/index.ts";
import { tensorShapes } from "../../src/model/weights.ts";
import { packRows, unpackRows } from "../../src/quantize/pack.ts";
import { CALIBRATED_FORMATS, storedBytes, WEIGHT_FORMATS, type WeightFormat } from "../../src/stored.ts";
import { saveResults } from "../record.ts";
import { writeGguf } from "./gguf.ts";
import { ggufName } from "./gguf-file.ts";
import { heldOut, Measurement, readSequences } from "./sequences.ts";

const HELP = `Usage: npm run compare:quantized -- [options]

What storing a model's weights in fewer bits costs: KL divergence from the checkpoint's own weights and perplexity, for
our formats and for those of llama.cpp's quantiser.

  --model DIR    checkpoint folder (default models/ziya-tiny)
  --file FILE    JSON Lines, each an array of token ids, as "ziya tokenize --bos" writes them
                 (default the model's heldout.jsonl, of which only answers count)
  --limit N      at most N lines; of heldout.jsonl, N questions of each skill (default 8). Three times as many after
                 them calibrate our formats of four bits
  --out FILE     where the JSON goes (default bench/results/quantized-<adapter>-<date>.json; "-" for none)
`;

/**
 * llama.cpp's file types; "pure" has every matrix in that type where the default mixes wider ones in, "calibrated" has an
 * importance matrix of the same calibration as our formats.
 */
const LLAMA_TYPES = [
  { type: "F16", pure: false },
  { type: "Q8_0", pure: false },
  { type: "Q4_K_M", pure: false, calibrated: true },
  { type: "Q4_K_S", pure: false, calibrated: true },
  { type: "Q4_K_S", pure: false },
  { type: "Q4_K_S", pure: true, calibrated: true },
  { type: "Q4_K_S", pure: true },
  { type: "Q4_0", pure: false },
  { type: "Q4_0", pure: true },
] as const;

/** Sequences to calibrate on, for each that is measured. */
const CALIBRATION_SHARE = 3;

interface Row extends Agreement {
  readonly format: string;
  readonly bitsPerWeight: number;
  readonly perplexity: number;
  /** Mean KL over every token but a sequence's first, also those given, of which the model is less sure. */
  readonly wholeKl: number;
  /** wholeKl when all is multiplied in f32; of llama.cpp's formats, when the weights are widened again. */
  readonly weightsAloneKl?: number;
  /** Of llama.cpp's formats: how many matrices have which type. */
  readonly types?: Readonly<Record<string, number>>;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      model: { type: "string", default: embeddedModel },
      file: { type: "string" },
      limit: { type: "string", default: "8" },
      out: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    console.log(HELP);
    return;
  }
  const limit = Number(values.limit);
  if (!Number.isInteger(limit) || limit < 1) {
    throw new Error(`--limit is "${values.limit}"; wanted a whole number from 1 on.`);
  }
  ensurePeers();
  const { adapter, rung } = describeAdapter();
  const folder = mkdtempSync(join(tmpdir(), "ziya-quantized-"));
  try {
    const rows = await measureAll(values.model, values.file, limit, folder);
    saveResults("quantized", values.out, { adapter, rung, limit, rows });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function measureAll(
  model: string,
  file: string | undefined,
  limit: number,
  folder: string,
): Promise<Row[]> {
  const source = join(folder, "source.gguf");
  const scratch = join(folder, "logits.bin");
  await writeGguf(openModel(model), source, "F32");

  const engine = await load({ model, weights: "f16", cache: "f32" });
  const { config } = engine.model;
  const { vocab_size: vocab } = config;
  const read = (first: number, end: number) =>
    file === undefined ? heldOut(engine, model, first, end) : readSequences(file, first, end);
  const sequences = read(0, limit);
  const others = read(limit, limit + CALIBRATION_SHARE * limit).map((sequence) => sequence.tokens);
  const tokens = sequences.map((sequence) => sequence.tokens);
  const size = engine.tokenizer.size;
  const reference = llamaLogits({ model: source, cache: "F32", sequences: tokens }, scratch);
  const measurement = new Measurement(sequences, vocab, size, reference);
  const everything = sequences.map((sequence) => ({ ...sequence, from: 1 }));
  const whole = new Measurement(everything, vocab, size, reference);
  const measure = (logits: Float32Array) => ({
    ...measurement.measure(logits),
    wholeKl: whole.measure(logits).meanKl,
  });
  console.log(
    `${sequences.length} sequences, ${measurement.targets.length} predicted tokens, ${whole.targets.length} in all; the ` +
      `checkpoint's own weights in f32: perplexity ${measurement.perplexity.toFixed(4)}\n`,
  );
  printLine([
    "format",
    "bits a weight",
    "KL of answers",
    "KL of all tokens",
    "of the weights alone",
    "max KL",
    "same top-1",
    "perplexity",
  ]);
  printLine(["---", "---:", "---:", "---:", "---:", "---:", "---:", "---:"]);

  const rows: Row[] = [];
  const report = (row: Row) => {
    rows.push(row);
    printLine(cells(row));
  };
  const measureOurs = async (weights: WeightFormat, importance?: Importance) => {
    const measured = async (options: NodeOptions) => {
      const engine = await load({
        model,
        weights,
        cache: "f32",
        ...(importance && { importance }),
        ...options,
      });
      try {
        return measure(await allLogits(engine, tokens));
      } finally {
        engine.destroy();
      }
    };
    report({
      format: `ziya ${weights}${importance ? ", calibrated" : ""}`,
      bitsPerWeight: bitsPerWeight(weights, tensorShapes(config)),
      ...(await measured({})),
      // Without features of the adapter everything is multiplied in f32.
      weightsAloneKl: (await measured({ rung: "core" })).wholeKl,
    });
  };
  const importance = others.length > 0 ? await engine.model.calibrate(others) : undefined;
  engine.destroy();
  for (const weights of WEIGHT_FORMATS.filter((format) => format !== "f32")) {
    await measureOurs(weights);
    if (importance && CALIBRATED_FORMATS.includes(weights)) await measureOurs(weights, importance);
  }
  const [quantised, widened] = [join(folder, "quantised.gguf"), join(folder, "widened.gguf")];
  const logitsOf = (path: string) =>
    measure(llamaLogits({ model: path, cache: "F32", sequences: tokens }, scratch));
  const squares = importance && meanSquares(importance, config);
  for (const entry of LLAMA_TYPES) {
    const { type, pure } = entry;
    const calibrated = "calibrated" in entry ? squares : undefined;
    if ("calibrated" in entry && !calibrated) continue;
    const request = { from: source, to: quantised, type, pure, importance: calibrated };
    const { bitsPerWeight, types } = llamaQuantize(request);
    llamaQuantize({ from: quantised, to: widened, type: "F32", pure: false });
    report({
      format: `llama.cpp ${type}${pure ? ", pure" : ""}${calibrated ? ", calibrated" : ""}`,
      bitsPerWeight,
      ...logitsOf(quantised),
      weightsAloneKl: logitsOf(widened).wholeKl,
      types,
    });
  }

  // The same matrices in both, those of whole blocks: the others keep their weights, and all is multiplied in f32.
  const exact = Array.from(tensorShapes(config)).filter(
    ([, [, columns]]) => columns !== undefined && columns % 256 !== 0,
  );
  const kept = new Set(exact.map(([name]) => name));
  const pattern = [...kept].map((name) => ggufName(name).replaceAll(".", "\\.")).join("|") || "^$";
  for (const given of importance ? [importance, undefined] : [undefined]) {
    const suffix = `${given ? ", calibrated" : ""}, whole blocks alone`;
    await writeGguf(openModel(model), widened, "F32", (name, values, columns) => {
      if (kept.has(name)) return values;
      return unpackRows(
        "q4",
        packRows("q4", values, columns, given?.get(name)),
        values.length / columns,
        columns,
      );
    });
    report({ format: `ziya q4${suffix}`, bitsPerWeight: 4.5, ...logitsOf(widened) });
    const request = { from: source, to: quantised, type: "Q4_K_S", pure: true, exact: pattern };
    const { types } = llamaQuantize({ ...request, importance: given && squares });
    llamaQuantize({ from: quantised, to: widened, type: "F32", pure: false });
    report({ format: `llama.cpp Q4_K_S, pure${suffix}`, bitsPerWeight: 4.5, ...logitsOf(widened), types });
  }
  return rows;
}

/** An importance as llama.cpp has it: mean squares alone, by its own names. */
function meanSquares(importance: Importance, config: Config): Record<string, number[]> {
  const shapes = tensorShapes(config);
  return Object.fromEntries(
    Array.from(importance, ([name, values]) => [
      ggufName(name),
      [...values.subarray(0, shapes.get(name)![1])],
    ]),
  );
}

async function allLogits(
  engine: Engine<LlamaModel>,
  sequences: readonly (readonly number[])[],
): Promise<Float32Array> {
  const { vocab_size: vocab } = engine.model.config;
  const logits = new Float32Array(vocab * sequences.reduce((sum, tokens) => sum + tokens.length, 0));
  let at = 0;
  for (const tokens of sequences) {
    for await (const rows of engine.logits(tokens)) {
      logits.set(rows, at);
      at += rows.length;
    }
  }
  return logits;
}

/** Bits that a matrix's weight takes, scales included. */
function bitsPerWeight(format: WeightFormat, shapes: ReadonlyMap<string, readonly number[]>): number {
  let [bytes, weights] = [0, 0];
  for (const [rows, columns] of shapes.values()) {
    if (columns === undefined) continue;
    const { words, scales } = storedBytes(format, rows!, columns);
    bytes += words + scales;
    weights += rows! * columns;
  }
  return (8 * bytes) / weights;
}

function cells(row: Row): string[] {
  return [
    row.format,
    row.bitsPerWeight.toFixed(2),
    row.meanKl.toExponential(2),
    row.wholeKl.toExponential(2),
    row.weightsAloneKl?.toExponential(2) ?? "",
    row.maxKl.toExponential(1),
    `${((100 * row.sameTop) / row.positions).toFixed(1)} %`,
    row.perplexity.toFixed(4),
  ];
}

function printLine(texts: readonly string[]): void {
  console.log(`| ${texts.join(" | ")} |`);
}

main().catch((error: Error) => {
  console.error(`compare:quantized: ${error.message}`);
  process.exitCode = 1;
});
