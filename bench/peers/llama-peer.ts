import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { peersFolder } from "../../fixtures/peers/install.ts";
import { packageRoot } from "../../node/host.ts";
import type { Contestant } from "./contestant.ts";
import { BACKENDS, type Backend } from "./speed-options.ts";

const MODULES = join(peersFolder, "node_modules", "@node-llama-cpp");
/** Where the README has llama.cpp built with CUDA. */
const CUDA_BUILD = join(packageRoot, "build", "llama-cuda", "bin");
/** Of what llama.cpp reports, the end: enough to show why it failed. */
const REPORT_LENGTH = 2000;

/** Where llama.cpp's libraries for a backend are, or undefined: a build of one's own before the prebuilt one. */
export function librariesOf(backend: Backend, cuda: string | undefined): string | undefined {
  const places =
    backend === "vulkan"
      ? [join(MODULES, "linux-x64-vulkan", "bins", "linux-x64-vulkan")]
      : [cuda ?? CUDA_BUILD, join(MODULES, "linux-x64-cuda", "bins", "linux-x64-cuda")];
  return places.find((folder) => existsSync(folder));
}

export interface LlamaSetup {
  readonly backend: Backend;
  readonly libraries: string;
  /** A GGUF file and what its matrices are stored as. */
  readonly model: string;
  readonly type: string;
  readonly context: number;
  /** Tokens of the longest prompt. */
  readonly batch: number;
  readonly threads: number;
  /** Whether the adapter is a software one: llama.cpp takes that only when told to, and is slow to fill a context on it. */
  readonly software: boolean;
}

export interface LlamaPeer extends Contestant {
  /** What llama.cpp calls the device it runs on. */
  readonly device: string;
  /** The library's file, and what ggml says of its version. */
  readonly library: string;
  /** Turns after which the logits had infinities or were no numbers: their time stands, and they are to be told of. */
  readonly turnsNotFinite: number;
}

/**
 * Starts llama.cpp in a process of its own and loads the model.
 * @throws Error with the end of what it reported when it stops.
 */
export async function startLlama(setup: LlamaSetup): Promise<LlamaPeer> {
  const { backend, libraries, model, type, context, batch, threads, software } = setup;
  const argument = {
    ...{ libraries, model, context, batch, threads },
    backend: BACKENDS[backend],
    fillOnProcessor: software,
  };
  const child = spawn(process.execPath, [join(peersFolder, "llama-speed.mjs"), JSON.stringify(argument)], {
    stdio: ["pipe", "pipe", "pipe"],
    env: { ...process.env, ...(software ? { GGML_VK_VISIBLE_DEVICES: "0" } : {}) },
  });
  let report = "";
  let turnsNotFinite = 0;
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    report = (report + text).slice(-REPORT_LENGTH);
  });
  child.stdin.on("error", () => {}); // A process that has ended is reported by the missing answer.
  const ended = once(child, "close");
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => {
    // What a library prints of its own accord on stdout is no answer.
    for (let line = await lines.next(); !line.done; line = await lines.next()) {
      if (line.value.startsWith("{")) return JSON.parse(line.value);
    }
    const [code, signal] = await ended;
    throw new Error(`llama.cpp (${backend}) ended with ${signal ?? code}:\n${report.trim()}`);
  };
  const ask = async (request: object) => {
    child.stdin.write(`${JSON.stringify(request)}\n`);
    const { ms, finite } = await answer();
    if (finite === false) turnsNotFinite++;
    return ms;
  };
  const { device, description, library } = await answer();
  return {
    name: `llama.cpp ${BACKENDS[backend]}, ${type}`,
    device: `${device}: ${description}`,
    library,
    get turnsNotFinite() {
      return turnsNotFinite;
    },
    fill: (tokens) => ask({ fill: tokens }),
    decode: (count) => ask({ decode: count }),
    prefill: (count) => ask({ prefill: count }),
    async close() {
      child.stdin.end();
      await ended;
    },
  };
}
