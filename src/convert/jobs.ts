import { type Failure, revive } from "../failure.ts";
import type { Importance } from "../model/calibrate.ts";
import type { SourceFile } from "./inputs.ts";
import type { FinishedShard } from "./journal-file.ts";
import type { FileSum } from "./manifest.ts";
import type { PlannedShard } from "./plan.ts";

/** What every worker of a conversion is told when it starts. */
export interface WorkerTask {
  /** The files as the conversion found them. */
  readonly sources: readonly SourceFile[];
  /** Of the matrices' columns, where the conversion was calibrated. */
  readonly importance?: Importance | undefined;
}

export type Job =
  | { readonly kind: "shard"; readonly shard: PlannedShard }
  | { readonly kind: "hash"; readonly file: SourceFile };

export type Result =
  | { readonly kind: "shard"; readonly shard: FinishedShard }
  | { readonly kind: "hash"; readonly sum: FileSum };

/** What a worker says. */
export type Message =
  /** Bytes of the inputs' weights that were read since the last one. */
  | { readonly kind: "read"; readonly bytes: number }
  | { readonly kind: "done"; readonly result: Result }
  | { readonly kind: "failed"; readonly failure: Failure };

/** A thread that does jobs, one at a time: `serveJobs()` in it, told its task already. */
export interface JobWorker {
  post(job: Job): void;
  /** @param onEnd is called when it ends by itself, with what to say of that. */
  listen(onMessage: (message: Message) => void, onEnd: (reason: Error) => void): void;
  terminate(): Promise<unknown>;
}

interface PoolOptions {
  readonly workers: number;
  start(): JobWorker;
  readonly signal?: AbortSignal | undefined;
  /** Awaited before the worker gets its next job. */
  onResult(result: Result): Promise<void>;
  /** Bytes of weights that a worker read. */
  onRead(bytes: number): void;
}

/**
 * Does the jobs in workers, in their order as workers become free. When it ends, however it ends, no worker runs.
 * @throws what the first job that fails throws, or the signal's reason.
 */
export async function runJobs(jobs: readonly Job[], options: PoolOptions): Promise<void> {
  const { signal } = options;
  signal?.throwIfAborted();
  const queue = jobs.values();
  const workers = Array.from({ length: Math.min(options.workers, jobs.length) }, () => options.start());
  let stop = () => {};
  const stopped = new Promise<never>((_, reject) => {
    stop = () => reject(signal?.reason);
  });
  signal?.addEventListener("abort", stop);
  try {
    await Promise.race([stopped, Promise.all(workers.map((worker) => serve(worker, queue, options)))]);
  } finally {
    signal?.removeEventListener("abort", stop);
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

async function serve(
  worker: JobWorker,
  queue: Iterator<Job>,
  { onRead, onResult }: PoolOptions,
): Promise<void> {
  let resolve = (_: Result) => {};
  let reject = (_: Error) => {};
  const ended = new Promise<never>((_, end) => {
    worker.listen((message) => {
      if (message.kind === "read") onRead(message.bytes);
      else if (message.kind === "done") resolve(message.result);
      else reject(revive(message.failure));
    }, end);
  });
  // Whoever waits for a job hears of it; after the last one it is nobody's.
  ended.catch(() => {});
  for (let next = queue.next(); !next.done; next = queue.next()) {
    const done = new Promise<Result>((...settle) => {
      [resolve, reject] = settle;
    });
    worker.post(next.value);
    await onResult(await Promise.race([done, ended]));
  }
}
