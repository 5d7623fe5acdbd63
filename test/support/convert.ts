import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { main } from "../../node/commands/main.ts";
import { convert } from "../../node/convert/convert.ts";
import { UNFINISHED_INDEX } from "../../src/checkpoint/source.ts";
import { fakeIo } from "./io.ts";
import type { Release } from "./release.ts";

/** Runs the command line, and gives what a terminal would see. */
export async function run(...args: string[]) {
  const io = fakeIo();
  const code = await main(args, io);
  return { code, out: io.out(), err: io.err() };
}

/** Converts by the library, in one worker. */
export function convertRelease({ base, delta }: Release, out: string, weights: "q4" | "q8" = "q8") {
  const inputs = {
    base: { kind: "folder", path: base } as const,
    delta: { kind: "folder", path: delta } as const,
  };
  return convert({ inputs, weights, out, workers: 1 });
}

/** Every file of a folder but the journal, by name. */
export async function contents(path: string): Promise<Record<string, string>> {
  const names = (await readdir(path)).filter((name) => name !== UNFINISHED_INDEX).sort();
  const sums = names.map(async (name) => [name, sha256(await readFile(join(path, name)))]);
  return Object.fromEntries(await Promise.all(sums));
}

export const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
