import { execFile } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** @typedef {{ file: string, find: string, replace: string, test: string, name: string }} Mutant */

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");

/**
 * The mutants of *.json beside this file, and a sentence for each that the checkout has no place for any more.
 * @returns {{ mutants: Mutant[], stale: string[] }}
 */
export function readMutants() {
  /** @type {Mutant[]} */
  const mutants = readdirSync(here)
    .filter((name) => name.endsWith(".json"))
    .sort()
    .flatMap((name) => JSON.parse(readFileSync(join(here, name), "utf8")));
  const stale = mutants.flatMap(({ file, find, replace, test }) => {
    const count = existsSync(join(root, file))
      ? readFileSync(join(root, file), "utf8").split(find).length - 1
      : 0;
    if (count !== 1) return [`${file} has the text ${JSON.stringify(find)} ${count} times, wanted once`];
    if (find === replace) return [`${file}: ${JSON.stringify(find)} is replaced by itself`];
    return existsSync(join(root, test)) ? [] : [`there is no ${test}`];
  });
  return { mutants, stale };
}

/**
 * Those of the mutants whose test is not in the file that they name, by its full name with all its cases: the files are imported for
 * that, and nothing of them is run.
 * @param {readonly Mutant[]} mutants
 * @returns {Promise<Mutant[]>}
 */
export async function withoutTest(mutants) {
  const folder = mkdtempSync(join(tmpdir(), "tests-"));
  try {
    const list = join(folder, "tests.json");
    const files = [...new Set(mutants.map(({ test }) => test))];
    // One process for all of them: what they import in common is most of the time.
    const args = ["list", "--no-isolate", `--json=${list}`, ...files];
    const env = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !name.startsWith("VITEST")),
    );
    await promisify(execFile)(process.execPath, [join(root, "node_modules/vitest/vitest.mjs"), ...args], {
      cwd: root,
      env,
    });
    /** @type {{ name: string, file: string }[]} */
    const tests = JSON.parse(readFileSync(list, "utf8"));
    // As reports have a full name.
    const fullName = (/** @type {string} */ name) => name.replaceAll(" > ", " ");
    const known = tests.map(({ name, file }) => ({
      file: relative(root, file).replaceAll(sep, "/"),
      name: fullName(name),
    }));
    return mutants.filter(
      ({ test, name }) => !known.some((one) => one.file === test && one.name.includes(fullName(name))),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}
