import { describe, expect, test } from "vitest";
import { type Job, type JobWorker, type Message, type Result, runJobs } from "../../src/convert/jobs.ts";
import { CheckpointError } from "../../src/errors.ts";

const job = (name: string): Job => ({ kind: "hash", file: { name, size: 1 } });
const sum = (name: string): Result => ({ kind: "hash", sum: { name, size: 1, sha256: "0".repeat(64) } });
const JOBS = ["a", "b", "c", "d"].map(job);

/** Workers that answer a job by `answer`, a turn later. */
function pool(answer: (name: string) => Message | "ends" | "nothing") {
  const seen = { started: 0, terminated: 0, jobs: [] as string[] };
  const start = (): JobWorker => {
    seen.started++;
    let say = (_: Message) => {};
    let end = (_: Error) => {};
    return {
      async post(asked) {
        const { name } = (asked as Extract<Job, { kind: "hash" }>).file;
        seen.jobs.push(name);
        await Promise.resolve();
        const answered = answer(name);
        if (answered === "ends") end(new Error("It ended."));
        else if (answered !== "nothing") say(answered);
      },
      listen(onMessage, onEnd) {
        [say, end] = [onMessage, onEnd];
      },
      async terminate() {
        seen.terminated++;
        end(new Error("It was terminated."));
      },
    };
  };
  return { seen, start };
}

describe("jobs in workers", () => {
  test("are done in their order, each once, and then no worker is left", async () => {
    const { seen, start } = pool((name) => ({ kind: "done", result: sum(name) }));
    const results: string[] = [];
    await runJobs(JOBS, {
      workers: 2,
      start,
      onRead: () => {},
      onResult: async (result) => void results.push(result.kind === "hash" ? result.sum.name : ""),
    });
    expect(seen).toEqual({ started: 2, terminated: 2, jobs: ["a", "b", "c", "d"] });
    expect(results.sort()).toEqual(["a", "b", "c", "d"]);
  });

  const run = (answer: Parameters<typeof pool>[0], signal?: AbortSignal, onResult = async () => {}) => {
    const { seen, start } = pool(answer);
    return { seen, running: runJobs(JOBS, { workers: 2, start, signal, onRead: () => {}, onResult }) };
  };

  test("end with the first error, which keeps its kind", async () => {
    const { seen, running } = run((name) =>
      name === "b"
        ? { kind: "failed", failure: { code: "checkpoint", message: "b is damaged." } }
        : { kind: "done", result: sum(name) },
    );
    await expect(running).rejects.toThrow(new CheckpointError("b is damaged."));
    await expect(running).rejects.toBeInstanceOf(CheckpointError);
    expect(seen.terminated).toBe(2);
  });

  test("end with what a worker died of, also while its last result is being saved", async () => {
    const { running } = run((name) => (name === "b" ? "ends" : { kind: "done", result: sum(name) }));
    await expect(running).rejects.toThrow("It ended.");

    const { seen, start } = pool((name) => ({ kind: "done", result: sum(name) }));
    let end = (_: Error) => {};
    const dying = () => {
      const worker = start();
      const listen: JobWorker["listen"] = (say, onEnd) => {
        end = onEnd;
        worker.listen(say, onEnd);
      };
      // The worker is gone before it has its second job.
      const post: JobWorker["post"] = (asked) => seen.jobs.length === 0 && worker.post(asked);
      return { ...worker, listen, post };
    };
    const saved = async () => end(new Error("It died between two jobs."));
    await expect(
      runJobs(JOBS, { workers: 1, start: dying, onRead: () => {}, onResult: saved }),
    ).rejects.toThrow("It died between two jobs.");
  });

  test("end with the signal's reason, whatever the workers are at", async () => {
    const stopping = new AbortController();
    const { seen, running } = run(() => "nothing", stopping.signal);
    stopping.abort(new Error("enough"));
    await expect(running).rejects.toThrow("enough");
    expect(seen.terminated).toBe(2);
    await expect(run(() => "nothing", stopping.signal).running).rejects.toThrow("enough");
  });
});
