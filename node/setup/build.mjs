import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { readOrEmpty } from "./files.mjs";
import { lastLines, SetupError, say } from "./report.mjs";

/** What STEPS read. */
const INPUTS = ["src", "node", "web", "bench", "shaders", "package-lock.json"].concat([
  "tsconfig.json",
  "tsconfig.build.json",
  "tsconfig.web.json",
  "tsconfig.browser.json",
]);

const COMPILER = join("node_modules", "typescript", "bin", "tsc");
/** By which dist/ is made: Node's half, the types of the browser's, and its bundle. */
const STEPS = [
  [COMPILER, "-p", "tsconfig.build.json"],
  [COMPILER, "-p", "tsconfig.browser.json"],
  [join("node", "setup", "browser.mjs")],
];

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
 * A file itself, or the sources of a folder; the page is built elsewhere.
 * @param {string} path
 * @returns {string[]}
 */
function filesOf(path) {
  if (!existsSync(path)) return [];
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
    if (entry.isDirectory())
      return ["node_modules", "page"].includes(entry.name) ? [] : filesOf(join(path, entry.name));
    return /\.(ts|wgsl)$/.test(entry.name) ? [join(path, entry.name)] : [];
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
  for (const step of STEPS) {
    const { status, stdout, stderr } = spawnSync(process.execPath, step, { cwd: root, encoding: "utf8" });
    if (status === 0) continue;
    throw new SetupError(`The TypeScript sources do not compile:\n${lastLines(stdout + stderr, 30)}`);
  }
  // npx makes it executable once, when it first finds the checkout, and not again after another build.
  chmodSync(join(root, "dist", "node", "cli.js"), 0o755);
  writeFileSync(stamp, sources);
}
