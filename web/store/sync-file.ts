import { StorageError } from "../../src/errors.ts";

/**
 * What is used of a `FileSystemSyncAccessHandle`: spelt out, because only workers have it, and the types of pages do not.
 * Who holds one of a file is alone in writing to it.
 */
export interface SyncFile {
  read(into: Uint8Array, options: { readonly at: number }): number;
  write(bytes: Uint8Array, options: { readonly at: number }): number;
  truncate(size: number): void;
  getSize(): number;
  flush(): void;
  close(): void;
}

/** Browsers take the files of a worker that was ended away from it a moment after its locks. */
const RELEASE = { tries: 100, everyMs: 50 };

/** @throws StorageError where it is held elsewhere, or where this is no worker. */
export async function openSync(handle: FileSystemFileHandle): Promise<SyncFile> {
  const { createSyncAccessHandle: create } = handle as { createSyncAccessHandle?(): Promise<SyncFile> };
  if (create) return onceReleased(handle.name, () => create.call(handle));
  throw new StorageError(
    "This browser writes no files of its private storage here: models are stored in a worker, of a current browser.",
  );
}

/** Removes a file, or a folder with all that is in it, if there is such a thing. */
export async function removeEntry(directory: FileSystemDirectoryHandle, name: string): Promise<void> {
  await onceReleased(name, () => ifThere(directory.removeEntry(name, { recursive: true })));
}

/**
 * What `action` comes to, tried again while another holds what it needs.
 * @throws StorageError where that takes seconds.
 */
export async function onceReleased<T>(name: string, action: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await action();
    } catch (cause) {
      if (!isNamed(cause, "NoModificationAllowedError")) throw cause;
      if (tries === RELEASE.tries) {
        throw new StorageError(`${name} is in use by another tab: close it, or wait until it is done.`, {
          cause,
        });
      }
      await new Promise((resolve) => setTimeout(resolve, RELEASE.everyMs));
    }
  }
}

/** All of `bytes`, from `at`. */
export function writeFully(file: SyncFile, bytes: Uint8Array, at: number): void {
  for (let done = 0; done < bytes.length; ) {
    done += file.write(done === 0 ? bytes : bytes.subarray(done), { at: at + done });
  }
}

/** As many bytes from `at` as there are, at most `into` has room for. */
export function readFully(file: SyncFile, into: Uint8Array, at: number): Uint8Array {
  let done = 0;
  while (done < into.length) {
    const count = file.read(into.subarray(done), { at: at + done });
    if (count === 0) break;
    done += count;
  }
  return into.subarray(0, done);
}

/** Whether it is the `DOMException` of that name. */
export function isNamed(error: unknown, name: string): boolean {
  return error instanceof DOMException && error.name === name;
}

/** What was found, or undefined where there is nothing of that name. */
export async function ifThere<T>(found: Promise<T>): Promise<T | undefined> {
  try {
    return await found;
  } catch (error) {
    if (isNamed(error, "NotFoundError")) return undefined;
    throw error;
  }
}
