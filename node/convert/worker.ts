import { parentPort, workerData } from "node:worker_threads";
import { openInputs } from "../../src/convert/inputs.ts";
import type { Message, WorkerTask } from "../../src/convert/jobs.ts";
import { serveJobs } from "../../src/convert/serve.ts";
import { createSha256 } from "../sha256.ts";
import { outputFolder } from "./folder.ts";
import { type InputDescription, openSources } from "./inputs.ts";

/** What a thread of a conversion is told when it starts. */
export interface WorkerData extends WorkerTask {
  readonly inputs: InputDescription;
  readonly folder: string;
}

const port = parentPort!;
const { inputs, folder, ...task } = workerData as WorkerData;
const parts = {
  inputs: openSources(inputs).then(openInputs),
  folder: outputFolder(folder),
  createSha256,
  post: (message: Message) => port.postMessage(message),
};
port.on("message", serveJobs(parts, task));
