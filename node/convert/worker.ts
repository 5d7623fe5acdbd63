import { parentPort, workerData } from "node:worker_threads";
import { type FileSum, hashSource } from "../../src/convert/manifest.ts";
import type { PlannedShard } from "../../src/convert/plan.ts";
import { ZiyaError } from "../../src/errors.ts";
import type { Importance } from "../../src/model/calibrate.ts";
import { createSha256 } from "../sha256.ts";
import { expectSameFiles, type InputDescription, openInputs, type SourceFile } from "./inputs.ts";
import type { FinishedShard } from "./journal-file.ts";
import { writeShard } from "./shard.ts";

/** What every worker of a conversion is told when it starts. */
export interface WorkerData {
  readonly inputs: InputDescription;
  /** The files as the conversion found them. */
  readonly sources: readonly SourceFile[];
  readonly folder: string;
  /** Of the matrices' columns, where the conversion was calibrated. */
  readonly importance?: Importance | undefined;
}

export type Job =
  | { readonly kind: "shard"; readonly shard: PlannedShard }
  | { readonly kind: "hash"; readonly file: SourceFile };

export type Result =
  | { readonly kind: "shard"; readonly shard: FinishedShard }
  | { readonly kind: "hash"; readonly sum: FileSum };

export type Message =
  /** Bytes of the inputs' weights that were read since the last one. */
  | { readonly kind: "read"; readonly bytes: number }
  | { readonly kind: "done"; readonly result: Result }
  | { readonly kind: "failed"; readonly failure: Failure };

/** An error, as far as it survives the way between threads. */
export interface Failure {
  /** A `ZiyaError`'s; whatever else is thrown is a mistake in the program. */
  readonly code?: string;
  readonly message: string;
}

const port = parentPort!;
const { inputs, sources, folder, importance } = workerData as WorkerData;
const opening = openInputs(inputs);
// The first job hears of it.
opening.catch(() => {});

port.on("message", async (job: Job) => {
  try {
    post({ kind: "done", result: await perform(job) });
  } catch (error) {
    const { message, stack } = error as Error;
    const known = error instanceof ZiyaError;
    post({ kind: "failed", failure: known ? { code: error.code, message } : { message: stack ?? message } });
  }
});

async function perform(job: Job): Promise<Result> {
  const opened = await opening;
  expectSameFiles(opened.files, sources);
  if (job.kind === "hash") {
    const sum = await hashSource(await opened.reopen(job.file), createSha256());
    // The file that was hashed is the one that was converted only if it is so still.
    await opened.reopen(job.file);
    return { kind: "hash", sum };
  }
  const onRead = (tensor: string, weights: number) =>
    post({ kind: "read", bytes: weights * opened.bytesPerWeight(tensor) });
  const shard = await writeShard(opened.checkpoint, job.shard, folder, { importance, onRead });
  return { kind: "shard", shard };
}

function post(message: Message): void {
  port.postMessage(message);
}
