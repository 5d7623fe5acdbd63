import { once } from "node:events";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import {
  type ConversionReport,
  type ConvertOptions as ConvertAnywhere,
  convert as convertAnywhere,
} from "../../src/convert/convert.ts";
import type { JobWorker } from "../../src/convert/jobs.ts";
import { dawnHost, packageRoot } from "../host.ts";
import { createSha256 } from "../sha256.ts";
import { outputFolder } from "./folder.ts";
import { type InputDescription, openSources } from "./inputs.ts";
import type { WorkerData } from "./worker.ts";

interface ConvertOptions extends ConvertAnywhere {
  readonly inputs: InputDescription;
  /** The folder for the result: new, empty, or with the same conversion begun. */
  readonly out: string;
}

/** The worker is started from the build: Node 20 does not run TypeScript. */
const WORKER = join(packageRoot, "dist", "node", "convert", "worker.js");

/** As the conversion everywhere, from and to folders on the disk, in threads of this process. */
export async function convert(options: ConvertOptions): Promise<ConversionReport | undefined> {
  const { inputs, out: folder } = options;
  return convertAnywhere(
    {
      sources: await openSources(inputs),
      out: outputFolder(folder),
      createSha256,
      startWorker: (task) => startWorker({ ...task, inputs, folder }),
      async withHost(use) {
        const host = dawnHost();
        try {
          return await use(host);
        } finally {
          host.release();
        }
      },
    },
    options,
  );
}

function startWorker(workerData: WorkerData): JobWorker {
  const worker = new Worker(WORKER, { workerData });
  return {
    post: (job) => worker.postMessage(job),
    listen(onMessage, onEnd) {
      worker.on("message", onMessage);
      once(worker, "exit").then(([code]) => {
        onEnd(new Error(`A worker of the conversion ended with code ${code} before its work did.`));
      }, onEnd);
    },
    terminate: () => worker.terminate(),
  };
}
