import { once } from "node:events";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { CheckpointError, ConfigError, OptionError, StorageError } from "../../src/errors.ts";
import { packageRoot } from "../host.ts";
import type { Failure, Job, Message, Result, WorkerData } from "./worker.ts";

/** The worker is started from the build: Node 20 does not run TypeScript. */
const WORKER = join(packageRoot, "dist", "node", "convert", "worker.js");
const KNOWN = [CheckpointError, ConfigError, OptionError, StorageError];

interface PoolOptions {
  readonly workers: number;
  readonly data: WorkerData;
  readonly signal?: AbortSignal | undefined;
  /** Awaited before the worker gets its next job. */
  onResult(result: Result): Promise<void>;
  /** Bytes of weights that a worker read. */
  onRead(bytes: number): void;
}

/**
 * Does the jobs in worker threads, in their order as workers become free. When it ends, however it ends, no worker runs.
 * @throws what the first job that fails throws, or the signal's reason.
 */
export async function runJobs(jobs: readonly Job[], options: PoolOptions): Promise<void> {
  const queue = jobs.values();
  options.signal?.throwIfAborted();
  const workers = Array.from(
    { length: Math.min(options.workers, jobs.length) },
    () => new Worker(WORKER, { workerData: options.data }),
  );
  try {
    await Promise.all(workers.map((worker) => serve(worker, queue, options)));
  } catch (error) {
    options.signal?.throwIfAborted();
    throw error;
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

async function serve(
  worker: Worker,
  queue: Iterator<Job>,
  { onRead, onResult, signal }: PoolOptions,
): Promise<void> {
  const ended = once(worker, "exit", signal ? { signal } : {}).then(([code]) => {
    throw new Error(`A worker of the conversion ended with code ${code} before its work did.`);
  });
  ended.catch(() => {});
  for (let next = queue.next(); !next.done; next = queue.next()) {
    const done = new Promise<Result>((resolve, reject) => {
      const listen = (message: Message) => {
        if (message.kind === "read") return onRead(message.bytes);
        worker.off("message", listen);
        if (message.kind === "done") resolve(message.result);
        else reject(revive(message.failure));
      };
      worker.on("message", listen);
    });
    worker.postMessage(next.value);
    await onResult(await Promise.race([done, ended]));
  }
}

/** The error that a worker threw, as far as it came through. */
function revive({ code, message }: Failure): Error {
  for (const Known of KNOWN) {
    const error = new Known(message);
    if (error.code === code) return error;
  }
  return new Error(message);
}
