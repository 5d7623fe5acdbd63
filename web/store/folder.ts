import { type ByteSource, blobSource, checkFileName } from "../../src/checkpoint/source.ts";
import { writeAll } from "../../src/convert/output.ts";
import { StorageError, ZiyaError } from "../../src/errors.ts";
import { fault } from "./fault.ts";
import { ifThere, isNamed, onceReleased, openSync, removeEntry, writeFully } from "./sync-file.ts";

/** A file that appears under its name when it is complete, and not before. */
export interface PendingFile {
  write(bytes: Uint8Array): Promise<void>;
  /** Brings it to the disk and gives it its name, in place of what had it. */
  finish(): Promise<void>;
  /** Removes what was written, after a failure. */
  discard(): Promise<void>;
}

/** The files of a folder by their plain names. Everything rejects with a StorageError where the browser refuses it. */
export interface Folder {
  create(name: string): Promise<PendingFile>;
  /** A small file at once, in place of what had its name. */
  replace(name: string, contents: string | Uint8Array): Promise<void>;
  /** Undefined where there is no such file. */
  open(name: string): Promise<ByteSource | undefined>;
  list(): Promise<string[]>;
  /** There is no file of that name afterwards. */
  remove(name: string): Promise<void>;
}

/** Turns what the browser says into an error for people. */
export type Explain = (name: string, cause: unknown) => ZiyaError | Promise<ZiyaError>;

const PARTIAL = ".partial";
/** Says of a partial file that it is complete, where the browser cannot give it its name in one step. */
const COMPLETE = ".complete";
const COPY_BYTES = 4 * 1024 * 1024;

/**
 * A folder of the origin's private file system, in a worker. Several workers may write to one, each to files of its own;
 * the handle may be posted to them.
 *
 * A file is written beside its place and then renamed. Where the browser has no `move`, an empty file beside it says
 * that it is complete, and stands for the name from then on; whoever opens the folder next copies what was not copied.
 */
export async function openFolder(
  directory: FileSystemDirectoryHandle,
  explain: Explain = unwritable,
): Promise<Folder> {
  const attempt = async <T>(name: string, action: () => Promise<T>): Promise<T> => {
    try {
      return await action();
    } catch (cause) {
      throw cause instanceof ZiyaError ? cause : await explain(name, cause);
    }
  };
  await attempt(directory.name, () => finishRenames(directory));

  const create = (name: string) =>
    attempt(name, async (): Promise<PendingFile> => {
      checkFileName(name, "A model");
      const partial = `${name}.${crypto.randomUUID()}${PARTIAL}`;
      const handle = await directory.getFileHandle(partial, { create: true });
      const file = await openSync(handle);
      fault("file-begun");
      let end = 0;
      return {
        write: (bytes) =>
          attempt(name, async () => {
            writeFully(file, bytes, end);
            end += bytes.length;
          }),
        finish: () =>
          attempt(name, async () => {
            file.flush();
            file.close();
            fault("file-written");
            await rename(directory, handle, name);
            fault("file-named");
          }),
        async discard() {
          file.close();
          // What it failed of is to be heard of.
          await removeEntry(directory, partial).catch(() => {});
        },
      };
    });

  return {
    create,
    async replace(name, contents) {
      const bytes = typeof contents === "string" ? new TextEncoder().encode(contents) : contents;
      await writeAll(await create(name), [bytes]);
    },
    open: (name) =>
      attempt(name, async () => {
        const handle = await ifThere(directory.getFileHandle(name));
        return handle && blobSource(name, await handle.getFile());
      }),
    list: () =>
      attempt(directory.name, async () => {
        const names = await namesIn(directory);
        return names.filter((name) => !name.endsWith(PARTIAL) && !name.endsWith(COMPLETE));
      }),
    remove: (name) => attempt(name, () => removeEntry(directory, name)),
  };
}

/** Removes what was left half written: nobody else may be writing to the folder. */
export async function removePartials(directory: FileSystemDirectoryHandle): Promise<void> {
  for (const name of await namesIn(directory)) {
    if (name.endsWith(PARTIAL)) await removeEntry(directory, name);
  }
}

export async function namesIn(directory: FileSystemDirectoryHandle): Promise<string[]> {
  const names: string[] = [];
  // The types of pages have no iterator of a directory.
  for await (const name of (directory as unknown as { keys(): AsyncIterable<string> }).keys())
    names.push(name);
  return names.sort();
}

/** What the browser says of a file, as a sentence. */
export function unwritable(name: string, cause: unknown): StorageError {
  const full = isNamed(cause, "QuotaExceededError");
  return new StorageError(
    full
      ? `The browser's storage is full: ${name} could not be written. Delete a model, or free some disk space, and begin again; ` +
          `it goes on where it was.`
      : `${name} could not be stored: ${cause instanceof Error ? cause.message : cause}.`,
    { cause, room: full ? {} : undefined },
  );
}

async function rename(
  directory: FileSystemDirectoryHandle,
  handle: FileSystemFileHandle,
  name: string,
): Promise<void> {
  const { move } = handle as { move?(name: string): Promise<void> };
  if (move) return onceReleased(name, () => move.call(handle, name));
  await directory.getFileHandle(handle.name + COMPLETE, { create: true });
  fault("rename-marked");
  await finishRename(directory, handle.name);
}

async function finishRenames(directory: FileSystemDirectoryHandle): Promise<void> {
  for (const mark of await namesIn(directory)) {
    if (mark.endsWith(PARTIAL + COMPLETE)) await finishRename(directory, mark.slice(0, -COMPLETE.length));
  }
}

/** Copies a complete partial file to its name. Ended anywhere, it can be done again from its beginning. */
async function finishRename(directory: FileSystemDirectoryHandle, partial: string): Promise<void> {
  // The name, a dot and a UUID.
  const name = partial.slice(0, -(PARTIAL.length + 37));
  const handle = await ifThere(directory.getFileHandle(partial));
  if (handle) {
    const from = await handle.getFile();
    const to = await openSync(await directory.getFileHandle(name, { create: true }));
    try {
      to.truncate(0);
      fault("rename-emptied");
      for (let at = 0; at < from.size; at += COPY_BYTES) {
        writeFully(to, new Uint8Array(await from.slice(at, at + COPY_BYTES).arrayBuffer()), at);
      }
      to.flush();
    } finally {
      to.close();
    }
    fault("rename-copied");
  }
  await removeEntry(directory, partial + COMPLETE);
  await removeEntry(directory, partial);
}
