import { accessSync, constants, readdirSync, type Stats, statSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { open, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  type ByteSource,
  checkFileName,
  checkRange,
  type OpenFile,
  refusePointers,
} from "../src/checkpoint/source.ts";
import { CheckpointError, OptionError } from "../src/errors.ts";
import { show } from "../src/show.ts";

/** Node reads at most 2 GiB in one call. */
const READ_LIMIT = 1 << 30;

/**
 * A file on disk. It is opened for every read, so that nothing needs closing.
 * @throws CheckpointError when it does not exist, is no file, or changes (size or time of change) between reads.
 */
export async function fileSource(path: string, name: string = path): Promise<ByteSource> {
  const source = await openIfThere(path, name);
  if (!source) throw new CheckpointError(`${name} does not exist: check the path.`);
  return source;
}

/** The files of a folder by their plain names. Symbolic links are followed: Hugging Face's cache is made of them. */
export function openFolder(folder: string): OpenFile {
  return refusePointers(async (name) => {
    checkFileName(name, `Something in ${folder}`);
    return openIfThere(join(folder, name), name);
  });
}

/**
 * For whoever names a folder, before its files are looked for one by one.
 * @param role what it is given as, for messages
 * @throws CheckpointError that says what is there in its place, OptionError for a path that is none.
 */
export function expectFolder(path: string, role = "model"): void {
  if (typeof path !== "string" || path === "") {
    throw new OptionError(`The ${role} is ${show(path)}; wanted the path of a checkpoint folder.`);
  }
  const subject = `${path}, given as the ${role},`;
  const wanted = "wanted a checkpoint folder in Hugging Face's layout";
  let found: Stats;
  try {
    found = statSync(path);
    if (found.isDirectory()) accessSync(path, constants.X_OK);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") {
      throw new CheckpointError(`${subject} does not exist; ${wanted}.`, { cause });
    }
    throw new CheckpointError(
      `${subject} may not be entered (${message}): give yourself the right to, or copy it.`,
      {
        cause,
      },
    );
  }
  if (!found.isDirectory()) {
    const advice = /\.gguf$/i.test(path)
      ? "GGUF is not read, so fetch the model's safetensors or PyTorch files"
      : `give the folder that it is in: ${dirname(path)}`;
    throw new CheckpointError(`${subject} is a file; ${wanted}: ${advice}.`);
  }
  refuseCache(path, subject);
}

/** Hugging Face's cache has a checkpoint's files some folders further down, and people give what they see. */
function refuseCache(path: string, subject: string): void {
  const names = namesIn(path);
  const inner = names.find((name) => name === "snapshots" || name.startsWith("models--"));
  if (inner === undefined || names.includes("config.json")) return;
  const snapshots = join(path, inner, inner === "snapshots" ? "" : "snapshots");
  const [first = "NAME", ...more] = namesIn(snapshots);
  const others = more.length > 0 ? ` (or one of ${more.length} more there)` : "";
  throw new CheckpointError(
    `${subject} is a folder of Hugging Face's cache, whose checkpoints are in snapshots: give ${join(snapshots, first)}${others}.`,
  );
}

/** None where they may not be listed: the files of a checkpoint are opened by name. */
function namesIn(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

/** As fileSource(), and undefined where there is nothing of the path. */
export async function openIfThere(path: string, name: string): Promise<ByteSource | undefined> {
  let first: Awaited<ReturnType<typeof stat>>;
  try {
    first = await stat(path);
  } catch (cause) {
    if (isErrno(cause, "ENOENT") || isErrno(cause, "ENOTDIR")) return undefined;
    throw unreadable(path, cause);
  }
  if (!first.isFile()) throw new CheckpointError(`${path} is not a file.`);
  const source: ByteSource = {
    name,
    size: first.size,
    async read(offset, length) {
      checkRange(source, offset, length);
      let handle: FileHandle | undefined;
      try {
        handle = await open(path);
        const now = await handle.stat();
        if (now.size !== first.size || now.mtimeMs !== first.mtimeMs) {
          throw new CheckpointError(
            `${path} changed while it was read (${first.size} bytes of ${first.mtime.toISOString()}, now ` +
              `${now.size} of ${now.mtime.toISOString()}): start again once it is complete.`,
          );
        }
        return await readFully(handle, path, offset, length);
      } catch (cause) {
        throw cause instanceof CheckpointError ? cause : unreadable(path, cause);
      } finally {
        await handle?.close();
      }
    },
  };
  return source;
}

async function readFully(
  handle: FileHandle,
  path: string,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let filled = 0; filled < length; ) {
    const wanted = Math.min(length - filled, READ_LIMIT);
    const { bytesRead } = await handle.read(bytes, filled, wanted, offset + filled);
    if (bytesRead === 0) {
      throw new CheckpointError(`${path} ended after ${filled} of the ${length} bytes at ${offset}.`);
    }
    filled += bytesRead;
  }
  return bytes;
}

/** What the system says of a path, as a sentence. */
export function unreadable(path: string, cause: unknown): CheckpointError {
  return new CheckpointError(
    `${path} could not be read: ${cause instanceof Error ? cause.message : cause}.`,
    { cause },
  );
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
