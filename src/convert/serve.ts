import { failureOf } from "../failure.ts";
import { expectSameFiles, type Inputs } from "./inputs.ts";
import type { Job, Message, Result, WorkerTask } from "./jobs.ts";
import { hashSource, type Sha256 } from "./manifest.ts";
import type { OutputFolder } from "./output.ts";
import { writeShard } from "./shard.ts";

/** What a worker's own host hands in. */
interface WorkerParts {
  /** The conversion's inputs, opened in this thread. */
  readonly inputs: Promise<Inputs>;
  readonly folder: OutputFolder;
  createSha256(): Sha256;
  post(message: Message): void;
}

/** The worker's half of `runJobs()`: gives what does a job and tells of it, whatever comes of it. */
export function serveJobs(parts: WorkerParts, task: WorkerTask): (job: Job) => Promise<void> {
  // The first job hears of it.
  parts.inputs.catch(() => {});
  return async (job) => {
    try {
      parts.post({ kind: "done", result: await perform(job, parts, task) });
    } catch (error) {
      parts.post({ kind: "failed", failure: failureOf(error) });
    }
  };
}

async function perform(
  job: Job,
  { inputs, folder, createSha256, post }: WorkerParts,
  { sources, importance }: WorkerTask,
): Promise<Result> {
  const opened = await inputs;
  expectSameFiles(opened.files, sources);
  if (job.kind === "hash") {
    const sum = await hashSource(await opened.reopen(job.file), createSha256());
    // The file that was hashed is the one that was converted only if it is so still.
    await opened.reopen(job.file);
    return { kind: "hash", sum };
  }
  const onRead = (tensor: string, weights: number) =>
    post({ kind: "read", bytes: weights * opened.bytesPerWeight(tensor) });
  const { checkpoint } = opened;
  const shard = await writeShard(checkpoint, job.shard, folder, { importance, createSha256, onRead });
  return { kind: "shard", shard };
}
