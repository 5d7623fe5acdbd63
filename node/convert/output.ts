import { constants } from "node:fs";
import { access, type FileHandle, mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join, sep } from "node:path";
import { type PendingFile, writeAll } from "../../src/convert/output.ts";
import { StorageError } from "../../src/errors.ts";

/** Written bytes after which the disk is asked to begin with them, so that the end need not wait for all. */
const FLUSH_BYTES = 32 * 1024 * 1024;

/**
 * Begins a file beside its final place. Its name tells the process, so that two of them never write one file.
 * @throws StorageError, as its functions do, when the disk is full or the folder cannot be written.
 */
export async function createFile(
  path: string,
  partial = `${path}.${process.pid}.partial`,
): Promise<PendingFile> {
  const handle = await orUnwritable(path, open(partial, "w"));
  const attempt = <T>(action: () => Promise<T>) => orUnwritable(path, action());
  let unflushed = 0;
  let flushing: Promise<void> = Promise.resolve();
  return {
    write: (bytes) =>
      attempt(async () => {
        for (let at = 0; at < bytes.length; ) at += (await handle.write(bytes, at)).bytesWritten;
        unflushed += bytes.length;
        if (unflushed < FLUSH_BYTES) return;
        unflushed = 0;
        await flushing;
        flushing = handle.datasync();
        // Whoever writes next, or finishes, hears of it.
        flushing.catch(() => {});
      }),
    finish: () =>
      attempt(async () => {
        await flushing;
        await handle.sync();
        await handle.close();
        await rename(partial, path);
      }),
    async discard() {
      await flushing.catch(() => {});
      await handle.close().catch(() => {});
      // What it failed of is to be heard of.
      await removeFile(partial).catch(() => {});
    },
  };
}

/**
 * Before hours of work whose result is to be a file there: tells what can be told without writing it.
 * @throws StorageError when it cannot be written.
 */
export async function expectWritable(path: string): Promise<void> {
  try {
    const found = await ifThere(stat(path));
    await access(found ? path : `${dirname(path)}${sep}.`, constants.W_OK);
    if (!found?.isDirectory()) return;
  } catch (cause) {
    throw unwritable(path, cause);
  }
  throw new StorageError(`${path} could not be written: it is a folder; wanted the name of a file.`);
}

/** A small file at once, in place of what had its name. */
export async function replaceFile(path: string, contents: string | Uint8Array): Promise<void> {
  const bytes = typeof contents === "string" ? new TextEncoder().encode(contents) : contents;
  await writeAll(await createFile(path), [bytes]);
}

/** @throws StorageError when the folder for a result is not there and cannot be made, or cannot be read. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true }).catch((error: unknown) => explainMissing(path, error));
    await readdir(path);
  } catch (cause) {
    throw new StorageError(
      `${path} is no folder that can be used: ${(cause as Error).message}. Choose another one with --out.`,
      { cause },
    );
  }
}

/** Node says ENOENT whatever the system's reason was: it is asked again for the first folder that is missing. */
async function explainMissing(path: string, error: unknown): Promise<never> {
  let first = path;
  while (!(await ifThere(stat(dirname(first))))) first = dirname(first);
  await mkdir(first);
  throw error;
}

/** What was found, or undefined where there is nothing of that name. */
export async function ifThere<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Removes what conversions left half written in a folder: those that were killed, and this process's own. */
export async function removePartials(folder: string): Promise<void> {
  for (const name of await listFolder(folder)) {
    const [, id] = /\.(\d+)\.partial$/.exec(name) ?? [];
    if (id === undefined || (Number(id) !== process.pid && isAlive(Number(id)))) continue;
    await removeFile(join(folder, name));
  }
}

/** @throws StorageError unless there is no file of that name afterwards. */
export async function removeFile(path: string): Promise<void> {
  await orUnwritable(path, rm(path, { force: true }));
}

/** @throws StorageError */
export async function listFolder(path: string): Promise<string[]> {
  return orUnwritable(path, readdir(path));
}

function isAlive(id: number): boolean {
  try {
    process.kill(id, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** Brings names to the disk, where the system can do that. */
export async function syncFolder(folder: string): Promise<void> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(folder);
    await handle.sync();
  } catch (error) {
    // Windows has no such thing, and does not need it.
    if (!["EISDIR", "EPERM", "EINVAL", "EACCES"].includes((error as NodeJS.ErrnoException).code ?? ""))
      throw unwritable(folder, error);
  } finally {
    await handle?.close();
  }
}

/** @throws StorageError in the place of what the system says of a path. */
export async function orUnwritable<T>(path: string, action: Promise<T>): Promise<T> {
  try {
    return await action;
  } catch (cause) {
    throw unwritable(path, cause);
  }
}

/** What the system says of a path, as a sentence. */
export function unwritable(path: string, cause: unknown): StorageError {
  const { code, message } = cause as NodeJS.ErrnoException;
  const full = code === "ENOSPC" || code === "EDQUOT";
  return new StorageError(
    full
      ? `The disk is full: ${path} could not be written. Free some space and run the same command again; a conversion goes on where it was.`
      : `${path} could not be written: ${message}.`,
    { cause, room: full ? {} : undefined },
  );
}
