import { bytesSource } from "../checkpoint/source.ts";
import { CheckpointError, ConfigError } from "../errors.ts";
import { loadText } from "../generate/load-engine.ts";
import type { WeightFormat } from "../stored.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import {
  type CalibrateOptions,
  type CalibrateParts,
  calibrateOnce,
  IMPORTANCE,
  readWindows,
} from "./calibrate.ts";
import { expectSameSources } from "./earlier.ts";
import { type Inputs, openInputs, type SourceFile, type Sources } from "./inputs.ts";
import { type Job, type JobWorker, runJobs, type WorkerTask } from "./jobs.ts";
import { Journal } from "./journal.ts";
import { type FileSum, hashSource, type Sha256 } from "./manifest.ts";
import type { OutputFolder } from "./output.ts";
import { type PlannedShard, planShards, SHARD_BYTES } from "./plan.ts";
import { addErrors, NO_ERROR, type QuantisationError, summarise } from "./report.ts";

/** What a host hands in. */
interface ConversionParts extends CalibrateParts {
  readonly sources: Sources;
  /** A thread that serves jobs of the same sources and folder. */
  startWorker(task: WorkerTask): JobWorker;
}

export interface ConvertOptions extends CalibrateOptions {
  /** What a shard holds at most, in bytes. */
  readonly shardBytes?: number | undefined;
  /** Threads that work at a time. */
  readonly workers: number;
  /** Called while the shards of an earlier run are held to their sums, with bytes done and in all. */
  readonly onCheck?: ((done: number, total: number) => void) | undefined;
  /** Called as weights are read, with bytes of the inputs: what this run has read, what is done in all, and the total. */
  readonly onProgress?: ((read: number, done: number, total: number) => void) | undefined;
  /** Is given the report before the folder becomes a checkpoint: a later run could not make it again. */
  readonly onReport?: ((report: ConversionReport) => Promise<void>) | undefined;
}

export interface ConversionReport {
  readonly folder: string;
  readonly weights: WeightFormat;
  readonly shards: number;
  /** Shards that an earlier run had finished. */
  readonly shards_found: number;
  /** Of all shards. */
  readonly bytes: number;
  /** Over the matrices, as the one below; neither is known of a result that was repaired. */
  readonly bits_per_weight?: number;
  /** ‖w - ŵ‖ / ‖w‖ */
  readonly relative_error?: number;
  /** Of the weights that this run read, and what it took; calibration not counted. */
  readonly input_bytes: number;
  readonly seconds: number;
  /** By matrix; of a result that was repaired, those that this run packed. */
  readonly tensors: Readonly<Record<string, { bits_per_weight: number; relative_error: number }>>;
}

/**
 * Writes a checkpoint in another format, merging it with its base where it is a delta. What is there of an earlier run is
 * kept where it is undamaged, and the bytes are the same however often it was stopped.
 * @returns undefined when the folder holds the finished result of the same sources already, undamaged.
 * @throws CheckpointError, ConfigError or TokenizerError about the inputs, StorageError about the folder, or the signal's reason.
 */
export async function convert(
  parts: ConversionParts,
  options: ConvertOptions,
): Promise<ConversionReport | undefined> {
  const { out, createSha256 } = parts;
  const { weights, shardBytes = SHARD_BYTES, workers, signal, onCheck } = options;
  const inputs = await openInputs(parts.sources);
  const sources = [...inputs.files.values()];
  // Before the folder is begun, so that a tokenizer or text that cannot be used leaves nothing behind.
  const windows = await readWindows(inputs, await readTokenizer(inputs));
  const plan = planShards(inputs.tensors, weights, shardBytes);
  const checking = { createSha256, signal, onCheck };
  const journal = await Journal.open(out, { weights, shardBytes, sources }, plan, checking);
  if (!journal) {
    await expectSameSources(out, sources, inputs.reopen, checking);
    return undefined;
  }

  const found = journal.shards.size;
  const inputBytes = (shards: readonly PlannedShard[]) =>
    shards.reduce((sum, { tensors }) => sum + tensors.reduce((all, t) => all + tensorBytes(inputs, t), 0), 0);
  const importance = windows && (await calibrateOnce(inputs, windows, parts, options));
  const before = inputBytes(plan.filter(({ file }) => journal.shards.has(file)));
  const total = inputBytes(plan);
  const start = performance.now();
  let read = 0;
  let saving = Promise.resolve();
  try {
    await runJobs(listJobs(plan, sources, journal), {
      workers,
      start: () => parts.startWorker({ sources, importance }),
      signal,
      onRead: (bytes) => {
        read += bytes;
        options.onProgress?.(read, before + read, total);
      },
      onResult: (result) => {
        if (result.kind === "shard") journal.add(result.shard);
        else journal.sources.set(result.sum.name, result.sum);
        // One after another: workers finish when they like.
        saving = saving.then(() => journal.save());
        return saving;
      },
    });
  } catch (error) {
    await saving.catch(() => {});
    // What stopped the conversion is to be heard of, not that its folder cannot be cleaned up any more.
    await out.removePartials().catch(() => {});
    throw error;
  }
  const files = await copyTexts(inputs, journal, out, createSha256);
  // What was read of a file before it changed is in the result: nothing may have, up to the end.
  for (const file of sources) await inputs.reopen(file);
  const seconds = (performance.now() - start) / 1000;
  const run = { shards_found: found, input_bytes: read, seconds };
  const result = report(out.name, weights, plan, journal, run);
  await options.onReport?.(result);
  await journal.finish(plan, files);
  await out.remove(IMPORTANCE);
  return result;
}

/**
 * The tokenizer that the result will be used with: without one it would be no model.
 * @throws TokenizerError, CheckpointError or ConfigError.
 */
async function readTokenizer({ open, config }: Inputs): Promise<Tokenizer> {
  const { tokenizer, rowsNeeded } = await loadText(open);
  if (rowsNeeded <= config.vocab_size) return tokenizer;
  throw new ConfigError(
    `The tokenizer has ${rowsNeeded} tokens, the model only ${config.vocab_size} rows: they do not belong together.`,
  );
}

/** @throws CheckpointError for one that is not the source that an earlier run took the sum of. */
async function copyTexts(
  { texts }: Inputs,
  journal: Journal,
  out: OutputFolder,
  createSha256: () => Sha256,
): Promise<FileSum[]> {
  const sums: FileSum[] = [];
  for (const [name, file] of texts) {
    const bytes = await file.read(0, file.size);
    const sum = await hashSource(bytesSource(name, bytes), createSha256());
    if (sum.sha256 !== journal.sources.get(file.name)!.sha256) {
      throw new CheckpointError(
        `${file.name} has the size that it had when ${out.name} was begun, and other contents: ${out.anew}.`,
      );
    }
    await out.replace(name, bytes);
    sums.push(sum);
  }
  return sums;
}

/**
 * Shards in their order, and sums of the source files between them: each when about that part of the weights has been
 * converted, so that its bytes may still be in memory.
 */
function listJobs(plan: readonly PlannedShard[], sources: readonly SourceFile[], journal: Journal): Job[] {
  const jobs: { readonly at: number; readonly job: Job }[] = [];
  for (const [i, shard] of plan.entries()) {
    if (!journal.shards.has(shard.file)) jobs.push({ at: i / plan.length, job: { kind: "shard", shard } });
  }
  for (const part of ["model", "base", "delta", "calibration"]) {
    const files = sources.filter(({ name }) => name.startsWith(`${part}/`));
    const size = files.reduce((sum, file) => sum + file.size, 0);
    let end = 0;
    for (const file of files.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
      end += file.size;
      if (!journal.sources.has(file.name)) jobs.push({ at: end / size, job: { kind: "hash", file } });
    }
  }
  return jobs.sort((a, b) => a.at - b.at).map(({ job }) => job);
}

function tensorBytes(inputs: Inputs, { name, rows, columns }: PlannedShard["tensors"][number]): number {
  return rows * columns * inputs.bytesPerWeight(name);
}

function report(
  folder: string,
  weights: WeightFormat,
  plan: readonly PlannedShard[],
  { shards }: Journal,
  run: Pick<ConversionReport, "shards_found" | "input_bytes" | "seconds">,
): ConversionReport {
  const figures = (error: QuantisationError) => {
    const { bitsPerWeight, relativeError } = summarise(error);
    return { bits_per_weight: bitsPerWeight, relative_error: relativeError };
  };
  const known = plan.every(({ file }) => shards.get(file)!.errors);
  const errors = plan.flatMap(({ file }) => Object.entries(shards.get(file)!.errors ?? {}));
  return {
    folder,
    weights,
    shards: plan.length,
    bytes: plan.reduce((sum, { size }) => sum + size, 0),
    ...(known && figures(errors.reduce((sum, [, error]) => addErrors(sum, error), NO_ERROR))),
    ...run,
    tensors: Object.fromEntries(errors.map(([name, error]) => [name, figures(error)])),
  };
}
