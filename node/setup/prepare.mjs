// npm runs this behind an installation in a checkout, and in the clone that it makes of a git dependency before it
// packs it: the package is its build. Without the development packages there is nothing to build with, and nothing is.

import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { ensureBuild } from "./build.mjs";
import { SetupError } from "./report.mjs";

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

try {
  if (existsSync(join(root, "node_modules", "typescript"))) ensureBuild(root);
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  process.stderr.write(`set-up: ${error.message}\n`);
  process.exitCode = 1;
}
