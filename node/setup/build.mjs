import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readOrEmpty } from "./files.mjs";
import { lastLines, SetupError, say } from "./report.mjs";

/** What `tsc -p tsconfig.build.json` reads. */
const INPUTS = ["src", "node", "bench", "package-lock.json", "tsconfig.json", "tsconfig.build.json"];

/**
 * A digest that changes when a source is added, removed or written.
 * @param {string} root
 */
export function fingerprint(root) {
  const hash = createHash("sha256");
  for (const input of INPUTS) {
    const path = join(root, input);
    if (!existsSync(path)) continue;
    const nested = statSync(path).isDirectory()
      ? readdirSync(path, { recursive: true, encoding: "utf8" }).sort()
      : [""];
    for (const name of nested) {
      if (name !== "" && !name.endsWith(".ts")) continue;
      const { mtimeMs, size } = statSync(join(path, name));
      hash.update(`${input}/${name} ${mtimeMs} ${size}\n`);
    }
  }
  return hash.digest("hex");
}

/**
 * Compiles to dist/ unless the sources are those of the last build.
 * @param {string} root
 */
export function ensureBuild(root) {
  const stamp = join(root, "dist", ".built-from");
  const sources = fingerprint(root);
  if (readOrEmpty(stamp) === sources) return;
  say("building");
  const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
  const { status, stdout, stderr } = spawnSync(process.execPath, [compiler, "-p", "tsconfig.build.json"], {
    cwd: root,
    encoding: "utf8",
  });
  if (status !== 0) {
    throw new SetupError(`The TypeScript sources do not compile:\n${lastLines(stdout + stderr, 30)}`);
  }
  mkdirSync(join(root, "dist"), { recursive: true });
  writeFileSync(stamp, sources);
}
