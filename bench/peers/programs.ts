import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../../node/host.ts";

/** This folder in the checkout, also for the copy of this file in dist/. */
export const peersFolder: string = join(packageRoot, "bench", "peers");

/** The package's own executable, as it was built. */
const cli = join(packageRoot, "dist", "node", "cli.js");

/** Threads for llama.cpp: more than one wait for each other at every layer, which takes longer than these small models. */
const LLAMA_THREADS = 1;

export interface LlamaRequest {
  readonly model: string;
  /** How keys and values are stored. */
  readonly cache: "F32" | "F16";
  /** Token ids; each sequence begins with an empty cache. */
  readonly sequences: readonly (readonly number[])[];
}

/** Logits of llama.cpp at every position of every sequence: [positions of all, vocab]. `out` is a scratch file. */
export function llamaLogits(request: LlamaRequest, out: string): Float32Array {
  run(process.execPath, [join(peersFolder, "llama.mjs")], { ...request, threads: LLAMA_THREADS, out });
  return new Float32Array(bytesOf(out));
}

export interface QuantizeRequest {
  /** GGUF files. */
  readonly from: string;
  readonly to: string;
  /** llama.cpp's name for a kind of file: Q4_0, Q4_K_M, …; F32 widens. */
  readonly type: string;
  /** Every matrix in that type; else llama.cpp mixes wider ones in. */
  readonly pure: boolean;
}

/** What llama.cpp's quantiser made: bits a weight over all matrices, and how many of them have which type. */
export interface Quantized {
  readonly bitsPerWeight: number;
  readonly types: Readonly<Record<string, number>>;
}

/** Quantises by llama.cpp's own quantiser. */
export function llamaQuantize(request: QuantizeRequest): Quantized {
  const script = join(peersFolder, "quantize.mjs");
  return JSON.parse(run(process.execPath, [script], { ...request, threads: LLAMA_THREADS }));
}

/** Logits of PyTorch in float64: [T, vocab]; of a packed checkpoint (q4 or q8) too. `out` is a scratch file. */
export function torchLogits(
  model: string,
  tokens: readonly number[],
  out: string,
  packed = false,
): Float64Array {
  if (python === undefined) {
    throw new Error("There is no python3 with PyTorch; on Debian: apt-get install python3-torch.");
  }
  const script = join(peersFolder, packed ? "packed_reference.py" : "reference.py");
  run(python, [script, "--model", model, "--tokens", tokens.join(), "--out", out]);
  return new Float64Array(bytesOf(out));
}

/** Logits that `ziya logits` writes: [T, vocab]. `out` is a scratch file. */
export function ziyaLogits(
  model: string,
  weights: string,
  cache: string,
  tokens: readonly number[],
  out: string,
): Float32Array {
  const options = { model, weights, cache, tokens: tokens.join(), out };
  const flags = Object.entries(options).flatMap(([name, value]) => [`--${name}`, value]);
  run(process.execPath, [cli, "logits", ...flags]);
  return new Float32Array(bytesOf(out));
}

/** The adapter that `ziya` takes, and the rung it runs on. */
export function describeAdapter(): { readonly adapter: string; readonly rung: string } {
  const { adapter, rung } = JSON.parse(run(process.execPath, [cli, "doctor", "--json"]));
  return { adapter, rung };
}

/** A python3 that has PyTorch, or undefined. Debian's is looked at too where another one comes first. */
export const python: string | undefined = ["python3", "/usr/bin/python3"].find(
  (command) => spawnSync(command, ["-c", "import torch"]).status === 0,
);

/** Installs llama.cpp beside this file where it is missing. */
export function ensurePeers(): void {
  if (existsSync(join(peersFolder, "node_modules", "node-llama-cpp"))) return;
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new Error(
      `llama.cpp is pinned here for Linux on x64, and this is ${process.platform} on ${process.arch}: use --peers pytorch.`,
    );
  }
  console.error("installing llama.cpp in bench/peers");
  // Not "npm ci": it wants the packages of other platforms in the lock file too.
  run("npm", ["install", "--no-save", "--no-audit", "--no-fund", "--prefix", peersFolder]);
}

/** Runs a program to its end with `request` as JSON on stdin, and returns its stdout. */
export function run(command: string, args: readonly string[], request?: unknown): string {
  const { status, signal, stdout, stderr, error } = spawnSync(command, args, {
    input: request === undefined ? "" : JSON.stringify(request),
    encoding: "utf8",
  });
  if (error) throw error;
  if (status !== 0) {
    throw new Error(`${command} ${args[0]} ended with ${signal ?? status}:\n${stderr.trim().slice(-2000)}`);
  }
  return stdout;
}

function bytesOf(path: string): ArrayBuffer {
  const bytes = readFileSync(path);
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
}
