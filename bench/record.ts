import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { packageRoot } from "../node/host.ts";

/**
 * Writes results as JSON, with the date and Node's version.
 * @param out A path, "-" for none, or undefined for bench/results/<name>-<adapter>-<date>.json.
 */
export function saveResults(
  name: string,
  out: string | undefined,
  results: { readonly adapter: string; readonly [key: string]: unknown },
): void {
  if (out === "-") return;
  const date = new Date().toISOString();
  const adapter = results.adapter
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .replace(/^-|-$/g, "");
  const folder = join(packageRoot, "bench", "results");
  if (out === undefined) mkdirSync(folder, { recursive: true });
  writeFileSync(
    out ?? join(folder, `${name}-${adapter}-${date.slice(0, 10)}.json`),
    `${JSON.stringify({ date, node: process.version, ...results }, null, 2)}\n`,
  );
}
