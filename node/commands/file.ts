import { open, readlink, realpath, rename, rm, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";

/**
 * Writes a file, which has its name only when it is complete. Symbolic links are followed; what is no plain file (a
 * device, a pipe) is written to as it is, and stays what it is.
 */
export async function writeOutput(path: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  const present = await ifThere(stat(path));
  const direct = present !== undefined && !present.isFile();
  const target = direct ? path : await followLinks(path);
  const partial = direct ? path : `${target}.part`;
  const file = await open(partial, "w");
  try {
    for await (const chunk of chunks) await file.writeFile(chunk);
    await file.close();
    if (!direct) await rename(partial, target);
  } catch (error) {
    await file.close();
    if (!direct) await rm(partial, { force: true });
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

async function ifThere<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}
