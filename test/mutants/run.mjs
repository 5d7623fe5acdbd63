// Breaks the code on purpose, a line at a time, and wants the test red that is named for it. The mutants are in
// *.json beside this file: in `file` the text `find`, which has to be there exactly once, becomes `replace`; then the
// test called `name` in `test` has to fail. Works in copies of the checkout and leaves the checkout alone.
//
//   npm run mutants                    all of them, after the named tests were seen to pass
//   npm run mutants -- rope            those whose file or test has "rope" in it
//   npm run mutants -- --seconds 60    as many as fit, from a place that moves with every commit
import { execFileSync, spawn } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { readMutants } from "./mutants.mjs";

/** @typedef {import("./mutants.mjs").Mutant} Mutant */
/** @typedef {{ fullName: string, status: string }} TestResult */

/** A named test takes seconds; one that hangs is no catch. */
const LONGEST_MS = 120_000;
/** Two at a time: most of a run is one core that starts up. */
const LANES = 2;

const here = dirname(fileURLToPath(import.meta.url));
const root = join(here, "../..");
/** @param {string[]} args */
const git = (...args) => execFileSync("git", args, { cwd: root, encoding: "utf8" });

const { values, positionals } = parseArgs({
  options: { seconds: { type: "string" } },
  allowPositionals: true,
});
const { mutants, stale } = readMutants();
if (stale.length > 0) {
  console.error(`${stale.join("\n")}\nPut the mutants in test/mutants right.`);
  process.exit(1);
}

/** @type {string[]} */
const copies = [];
process.on("exit", () => {
  for (const copy of copies) rmSync(copy, { recursive: true, force: true });
});

/** What is tracked or would be, with the packages linked. */
function copyCheckout() {
  const copy = mkdtempSync(join(tmpdir(), "mutants-"));
  copies.push(copy);
  for (const file of git("ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")) {
    if (file === "" || !existsSync(join(root, file))) continue;
    mkdirSync(dirname(join(copy, file)), { recursive: true });
    cpSync(join(root, file), join(copy, file));
  }
  for (const built of ["node_modules", "dist"]) {
    if (existsSync(join(root, built))) symlinkSync(join(root, built), join(copy, built));
  }
  return copy;
}

/**
 * The full names of the tests of `files` that match, by how they ended.
 * @param {string} copy
 * @param {string[]} files
 * @param {string[]} names
 * @returns {Promise<{ passed: string[], failed: string[] }>}
 */
function runTests(copy, files, names) {
  const report = join(copy, "report.json");
  rmSync(report, { force: true });
  const pattern = names.map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
  const vitest = join(root, "node_modules/vitest/vitest.mjs");
  const args = [vitest, "run", ...files, "-t", pattern, "--reporter=json", `--outputFile.json=${report}`];
  return new Promise((resolve) => {
    const child = spawn(process.execPath, args, {
      cwd: copy,
      stdio: "ignore",
      timeout: LONGEST_MS * files.length,
    });
    child.on("close", () => {
      /** @type {{ testResults?: { assertionResults: TestResult[] }[] }} */
      const { testResults = [] } = existsSync(report) ? JSON.parse(readFileSync(report, "utf8")) : {};
      const all = testResults.flatMap(({ assertionResults }) => assertionResults);
      /** @param {string} status */
      const ended = (status) => all.filter((test) => test.status === status).map(({ fullName }) => fullName);
      resolve({ passed: ended("passed"), failed: ended("failed") });
    });
  });
}

/**
 * @param {string} copy
 * @param {Mutant} mutant
 */
async function isCaught(copy, { file, find, replace, test, name }) {
  const path = join(copy, file);
  const text = readFileSync(path, "utf8");
  writeFileSync(
    path,
    text.replace(find, () => replace),
  );
  try {
    const { failed } = await runTests(copy, [test], [name]);
    return failed.some((fullName) => fullName.includes(name));
  } finally {
    writeFileSync(path, text);
  }
}

const wanted = mutants.filter(({ file, test }) =>
  positionals.every((part) => `${file} ${test}`.includes(part)),
);
if (wanted.length === 0) throw new Error(`no mutant is of ${positionals.join(" ")}`);
const seconds = Number(values.seconds ?? Number.POSITIVE_INFINITY);
const isSample = Number.isFinite(seconds);
const from = isSample ? Number.parseInt(git("rev-parse", "HEAD").slice(0, 8), 16) % wanted.length : 0;
const queue = [...wanted.slice(from), ...wanted.slice(0, from)];
const deadline = Date.now() + 1000 * seconds;
const lanes = Array.from({ length: LANES }, copyCheckout);
/** @type {string[]} */
const faults = [];
let tried = 0;

if (!isSample) {
  const files = [...new Set(queue.map(({ test }) => test))];
  const { passed, failed } = await runTests(
    copyCheckout(),
    files,
    queue.map(({ name }) => name),
  );
  /** @param {Mutant} mutant */
  const isSound = ({ name }) =>
    passed.some((fullName) => fullName.includes(name)) && !failed.some((fullName) => fullName.includes(name));
  for (const { test, name } of queue.filter((mutant) => !isSound(mutant)))
    faults.push(`${test}: "${name}" does not pass as the code is`);
}

await Promise.all(
  lanes.map(async (copy) => {
    while (Date.now() < deadline) {
      const mutant = queue.shift();
      if (!mutant) return;
      const caught = await isCaught(copy, mutant);
      tried++;
      const line = `${mutant.file}: ${mutant.find.trim()} -> ${mutant.replace.trim() || "nothing"}`;
      console.log(`${caught ? "caught  " : "SURVIVED"} ${line}`);
      if (!caught) faults.push(`${line}\n  "${mutant.name}" of ${mutant.test} stays green`);
    }
  }),
);
if (faults.length > 0) console.error(faults.join("\n"));
console.log(`${tried} of ${mutants.length} mutants tried, ${faults.length} faults`);
process.exitCode = tried > 0 && faults.length === 0 ? 0 : 1;
