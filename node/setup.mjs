// Makes a checkout ready to run: packages, build, a WebGPU adapter. Plain JavaScript on Node's own modules, because
// it runs before anything is installed. Each step is skipped when its result is already there.
//
//   node node/setup.mjs [--without-adapter]
//
// --without-adapter: the caller runs elsewhere than on Dawn (in a browser).

import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { ensureAdapter } from "./setup/adapter.mjs";
import { ensureBuild } from "./setup/build.mjs";
import { ensurePackages } from "./setup/packages.mjs";
import { SetupError } from "./setup/report.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

try {
  const [major = 0] = process.versions.node.split(".").map(Number);
  if (major < 20) {
    throw new SetupError(`ziya-webgpu needs Node.js 20 or newer; this is ${process.versions.node}.`);
  }
  ensurePackages(root);
  ensureBuild(root);
  if (!process.argv.includes("--without-adapter")) ensureAdapter(root);
} catch (error) {
  // A system call's own message names the file and what is wrong with it (no permission, disk full).
  const told = error instanceof SetupError || (error instanceof Error && "syscall" in error);
  if (!told) throw error;
  process.stderr.write(`set-up: ${error.message}\n`);
  process.exitCode = 1;
}
