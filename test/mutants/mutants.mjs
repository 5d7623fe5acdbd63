import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

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
