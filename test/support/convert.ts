import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { main } from "../../node/commands/main.ts";
import { UNFINISHED_INDEX } from "../../src/checkpoint/source.ts";
import { fakeIo } from "./io.ts";

/** Runs the command line, and gives what a terminal would see. */
export async function run(...args: string[]) {
  const io = fakeIo();
  const code = await main(args, io);
  return { code, out: io.out(), err: io.err() };
}

/** Every file of a folder but the journal, by name. */
export async function contents(path: string): Promise<Record<string, string>> {
  const names = (await readdir(path)).filter((name) => name !== UNFINISHED_INDEX).sort();
  const sums = names.map(async (name) => [name, sha256(await readFile(join(path, name)))]);
  return Object.fromEntries(await Promise.all(sums));
}

export const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");
