import { open, readlink, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { ifThere, orUnwritable } from "../convert/output.ts";

/**
 * Writes a file, which has its name only when it is complete. Symbolic links are followed; what is no plain file (a
 * device, a pipe) is written to as it is, and stays what it is.
 * @throws StorageError when it cannot be written, and what `chunks` throws.
 */
export async function writeOutput(path: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  const attempt = <T>(action: Promise<T>) => orUnwritable(path, action);
  const present = await attempt(ifThere(stat(path)));
  const direct = present !== undefined && !present.isFile();
  const target = direct ? path : await attempt(followLinks(path));
  const partial = direct ? path : `${target}.part`;
  const file = await attempt(open(partial, "w"));
  try {
    for await (const chunk of chunks) await attempt(file.writeFile(chunk));
    await attempt(file.close());
    if (!direct) await attempt(rename(partial, target));
  } catch (error) {
    // What it failed of is to be heard of.
    await file.close().catch(() => {});
    if (!direct) await rm(partial, { force: true }).catch(() => {});
    throw error;
  }
}

/** The file behind a path: also behind a link to one that does not exist yet. */
async function followLinks(path: string): Promise<string> {
  const real = await ifThere(realpath(path));
  if (real !== undefined) return real;
  const link = await readlink(path).catch(() => undefined);
  return link === undefined ? path : followLinks(resolve(await realpath(dirname(path)), link));
}
