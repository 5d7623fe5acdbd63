import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
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
  for (const path of INPUTS.flatMap((input) => filesOf(join(root, input))).sort()) {
    const { mtimeMs, size } = statSync(path);
    hash.update(`${relative(root, path)} ${mtimeMs} ${size}\n`);
  }
  return hash.digest("hex");
}

/**
 * A file itself, or the TypeScript files of a folder.
 * @param {string} path
 * @returns {string[]}
 */
function filesOf(path) {
  if (!existsSync(path)) return [];
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
    if (entry.isDirectory()) return entry.name === "node_modules" ? [] : filesOf(join(path, entry.name));
    return entry.name.endsWith(".ts") ? [join(path, entry.name)] : [];
  });
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
  // What has no source any more would go into a package that is made of it.
  rmSync(join(root, "dist"), { recursive: true, force: true });
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
