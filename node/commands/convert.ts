import { writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { basename, dirname, resolve } from "node:path";
import { TEXT_FILES } from "../../src/checkpoint/source.ts";
import type { ConversionReport } from "../../src/convert/convert.ts";
import { StorageError } from "../../src/errors.ts";
import { showBytes } from "../../src/show.ts";
import { CALIBRATED_FORMATS } from "../../src/stored.ts";
import { convert as convertModel } from "../convert/convert.ts";
import type { InputDescription } from "../convert/inputs.ts";
import { expectWritable, unwritable } from "../convert/output.ts";
import { WEIGHT_FORMATS, type WeightFormat } from "../index.ts";
import { type Command, EXIT, type Io, print, UsageError, type Values, write } from "./command.ts";
import { DEVICE_FLAGS, deviceOptions, JSON_FLAG } from "./engine.ts";
import { statusLine } from "./progress.ts";

/** Each worker takes about 300 MB; more of them than this wait for the disk. */
const MOST_WORKERS = 4;
const MIB = 1024 * 1024;
/** Between two lines of progress, so that a person can read them. */
const STATUS_MS = 250;

export const convert: Command = {
  usage: "convert --out DIR",
  summary: "Pack a checkpoint for the GPU, merging a delta with its base.",
  details: `Ziya-LLaMA-13B is published as a delta: give --base, LLaMA-1 13B in Hugging Face's layout, and --delta. Give --model
for a checkpoint that is whole. PyTorch and safetensors files are read a few rows at a time, never executed.

The result is a checkpoint folder with the config and tokenizer of the delta or model. Stopped at any moment and run
again with the same flags, it goes on where it was and gives the same bytes; the folder is no checkpoint before it is
finished, and a finished one that was damaged is repaired. "ziya verify DIR" checks the result.

With --calibrate the model first runs over a text like those it will be used on: the weights that meet the largest
activations are then kept the most exactly, and errors cancel out in what activations have in common. That loads the
model onto the adapter, packed, as chat will.`,
  flags: {
    base: { value: "DIR", help: "The checkpoint that the delta was made from." },
    delta: { value: "DIR", help: "The delta, as it is published." },
    model: { value: "DIR", help: "A whole checkpoint, in place of base and delta." },
    weights: { value: "FORMAT", help: `The result's: ${WEIGHT_FORMATS.join(", ")}. Default: q4.` },
    out: {
      value: "DIR",
      help: "A new or empty folder for the result, or one with the same conversion begun.",
    },
    calibrate: {
      value: "FILE",
      help: "A text in UTF-8 to choose scales by; for weights q4. Some ten thousand characters are enough.",
    },
    "shard-size": {
      value: "MIB",
      help: "What a file of the result holds at most, unless one tensor is larger. Default: 256.",
    },
    workers: { value: "N", help: `Threads. Default: one for each processor, at most ${MOST_WORKERS}.` },
    report: { value: "FILE", help: "Write bits per weight and relative error of each tensor, as JSON." },
    ...DEVICE_FLAGS,
    ...JSON_FLAG,
  },
  positionals: 0,
  async run({ values, io }) {
    const weights = readFormat(values.text("weights") ?? "q4");
    const calibration = values.text("calibrate");
    if (calibration !== undefined && !CALIBRATED_FORMATS.includes(weights)) {
      throw new UsageError(
        `--calibrate chooses scales of ${CALIBRATED_FORMATS.join(" and ")}; --weights is ${weights}.`,
      );
    }
    const inputs = { ...readInputs(values), calibration };
    const out = values.required("out");
    const shardSize = readCount(values, "shard-size", 1024 * 1024);
    const workers = readCount(values, "workers", 64) ?? Math.min(MOST_WORKERS, availableParallelism());

    const device = deviceOptions(values);
    const [flag] = Object.keys(device);
    if (flag !== undefined && calibration === undefined) {
      throw new UsageError(
        `--${flag} is for the adapter that --calibrate needs; without it, leave --${flag} out.`,
      );
    }

    const file = values.text("report");
    if (file !== undefined) await expectReportable(file, out, values);
    const interrupted = new AbortController();
    const stop = () => interrupted.abort();
    process.on("SIGINT", stop);
    process.on("SIGTERM", stop);
    const status = statusLine(io.stderr);
    try {
      const report = await convertModel({
        inputs,
        weights,
        out,
        shardBytes: shardSize && shardSize * MIB,
        workers,
        device,
        signal: interrupted.signal,
        onCheck: (done, total) => status.show(`Checking what is there ${Math.floor((done / total) * 100)} %`),
        onCalibration: (done, total) => status.show(`Calibrating ${Math.floor((done / total) * 100)} %`),
        onProgress: progress(status.show),
        onReport: async (report) => {
          if (file === undefined) return;
          await writeFile(file, `${JSON.stringify(report, undefined, 1)}\n`).catch((cause: unknown) => {
            throw unwritable(file, cause);
          });
        },
      });
      status.clear();
      return await tell(report, values, io);
    } catch (error) {
      status.clear();
      if (!interrupted.signal.aborted) throw error;
      await write(io.stderr, "Stopped. The same command goes on from here.\n");
      return EXIT.interrupted;
    } finally {
      process.off("SIGINT", stop);
      process.off("SIGTERM", stop);
    }
  },
};

/**
 * Before hours of work: the report can be written, and is not written over what is read or made.
 * @throws UsageError or StorageError
 */
async function expectReportable(file: string, out: string, values: Values): Promise<void> {
  const folder = resolve(dirname(file));
  const sources = ["base", "delta", "model"].flatMap((flag) => values.text(flag) ?? []);
  const own =
    /\.(safetensors|partial)$|\.(index|partial)\.json$/.test(file) || TEXT_FILES.includes(basename(file));
  if (sources.some((source) => resolve(source) === folder) || (folder === resolve(out) && own)) {
    throw new UsageError(
      `--report ${file} would be among the files of a checkpoint: choose another place for it.`,
    );
  }
  // The folder for the result may be there only later, and then can be written.
  if (folder !== resolve(out)) await expectWritable(file);
}

function readInputs(values: Values): InputDescription {
  const [base, delta, model] = ["base", "delta", "model"].map((name) => {
    const path = values.text(name);
    return path === undefined ? undefined : ({ kind: "folder", path } as const);
  });
  if (model && !base && !delta) return { model };
  if (base && delta && !model) return { base, delta };
  throw new UsageError("Wanted either --model, or --base and --delta.");
}

function readFormat(text: string): WeightFormat {
  const format = WEIGHT_FORMATS.find((name) => name === text);
  if (format) return format;
  throw new UsageError(`--weights is ${JSON.stringify(text)}; wanted ${WEIGHT_FORMATS.join(", ")}.`);
}

function readCount(values: Values, name: string, most: number): number | undefined {
  const value = values.number(name);
  if (value === undefined || (Number.isInteger(value) && value >= 1 && value <= most)) return value;
  throw new UsageError(`--${name} is ${value}; wanted a whole number from 1 to ${most}.`);
}

/** A line with the rate of this run, of which an earlier one may have done a part. */
function progress(show: (line: string) => void) {
  // From the first weights on: what is checked or calibrated before them takes its own time.
  let start: { readonly time: number; readonly read: number } | undefined;
  let last = 0;
  return (read: number, done: number, total: number) => {
    const now = performance.now();
    start ??= { time: now, read };
    if (now - Math.max(last, start.time) < STATUS_MS) return;
    last = now;
    const rate = (read - start.read) / (now - start.time); // bytes a millisecond
    const left = Math.ceil((total - done) / rate / 1000);
    const share = Math.floor((done / total) * 100);
    show(
      `Converting ${share} %, ${showBytes(done)} of ${showBytes(total)} at ${(rate / 1000).toFixed(0)} MB/s, ${duration(left)} left`,
    );
  };
}

async function tell(report: ConversionReport | undefined, values: Values, io: Io): Promise<number> {
  const out = values.required("out");
  if (!report) {
    if (values.text("report") !== undefined) {
      throw new StorageError(
        `${out} is finished already, and what --report tells is known only while it is converted: leave the flag out, or ` +
          `convert into a new folder.`,
      );
    }
    return print({ values, io }, { finished_before: true }, `${out} is finished already.`);
  }
  const { tensors, ...summary } = report;
  return print({ values, io }, summary, describe(report, values.text("calibrate") !== undefined));
}

function describe(report: ConversionReport, isCalibrated: boolean): string {
  const { folder, weights, shards, bytes, input_bytes: read, seconds } = report;
  const matrices = Object.keys(report.tensors).length;
  const { bits_per_weight: bits, relative_error: error } = report;
  const figures =
    bits === undefined || error === undefined
      ? "The finished checkpoint was damaged; figures are known of what was packed again only."
      : `${matrices} matrices as ${weights}: ${bits.toFixed(2)} bits per weight, relative error ${(error * 100).toFixed(3)} %` +
        (isCalibrated ? ": more than without a text, so that those of products are smaller." : ".");
  return [
    `${folder}: ${showBytes(bytes)} in ${shards} ${shards === 1 ? "shard" : "shards"}` +
      (report.shards_found > 0 ? `, ${report.shards_found} of them from before.` : "."),
    figures,
    `${showBytes(read)} read in ${duration(Math.round(seconds))}, ${(read / seconds / 1e6).toFixed(0)} MB/s.`,
  ].join("\n");
}

function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "unknown time";
  const [minutes, rest] = [Math.floor(seconds / 60), seconds % 60];
  return minutes === 0 ? `${rest} s` : `${minutes} min ${rest} s`;
}
