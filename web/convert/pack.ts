import { openInputs } from "../../src/convert/inputs.ts";
import type { Job, JobWorker, Message, WorkerTask } from "../../src/convert/jobs.ts";
import { serveJobs } from "../../src/convert/serve.ts";
import { OptionError } from "../../src/errors.ts";
import type { ConversionSource } from "../api.ts";
import { explainFor } from "../store/describe.ts";
import { openFolder } from "../store/folder.ts";
import { createSha256 } from "../store/sha256.ts";
import { openOutput } from "./output.ts";
import { openSources } from "./sources.ts";

/** The first message to a worker that packs; jobs are what follows. */
interface PackingTask extends WorkerTask {
  readonly source: ConversionSource;
  readonly calibration?: File | undefined;
  /** The model's folder in the browser's storage, and what messages call it. */
  readonly directory: FileSystemDirectoryHandle;
  readonly name: string;
}

/** The program of a worker that packs. */
export function servePacking(): void {
  let serve: ((job: Job) => Promise<void>) | undefined;
  self.addEventListener("message", ({ data }: MessageEvent<PackingTask | Job>) => {
    if ("kind" in data) void serve!(data);
    else serve = begin(data);
  });
}

function begin({ source, calibration, directory, name, ...task }: PackingTask): (job: Job) => Promise<void> {
  const inputs = (async () => openInputs(openSources(source, calibration)))();
  const open = async () => ({ directory, folder: await openFolder(directory, explainFor(name)) });
  const post = (message: Message) => self.postMessage(message);
  return serveJobs({ inputs, folder: openOutput(name, open), createSha256, post }, task);
}

/** A worker's script was there once, and is to be had a second time. */
function unloaded(): OptionError {
  return new OptionError(
    "The worker could not start others of its own script, in which a conversion packs: keep the script at the address " +
      "that the option `worker` starts it from (an object URL, do not revoke), and allow it in the page's policy (`worker-src`).",
  );
}

/** The conversion's end of such a worker. */
export function packingWorker(worker: Worker, task: PackingTask): JobWorker {
  worker.postMessage(task);
  return {
    post: (job) => worker.postMessage(job),
    listen(onMessage, onEnd) {
      worker.addEventListener("message", ({ data }: MessageEvent<Message>) => onMessage(data));
      worker.addEventListener("error", (event) => {
        event.preventDefault();
        // A script that does not come, or cannot be read, has no message.
        onEnd(event.message ? new Error(event.message) : unloaded());
      });
    },
    terminate: async () => worker.terminate(),
  };
}
