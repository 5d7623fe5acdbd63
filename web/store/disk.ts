import { blobSource, checkFileName, type OpenFile } from "../../src/checkpoint/source.ts";
import { CheckpointError } from "../../src/errors.ts";
import type { FolderFiles } from "../api.ts";
import { isNamed } from "./sync-file.ts";

/** A checkpoint's folder on the person's disk. */
export interface DiskFolder {
  /** As the person's computer shows it, and empty for files that were chosen one by one. */
  readonly name: string;
  /** A file by its plain name. */
  find(name: string): Promise<File | undefined>;
  readonly open: OpenFile;
}

/**
 * A person chooses or drops a folder with all that is in it: the files of the checkpoint are those beside the config, or,
 * without one, those that lie highest.
 * @param what For messages: "model", "base" or "delta".
 * @throws CheckpointError for files of several checkpoints.
 */
export function diskFolder(what: string, files: FolderFiles): DiskFolder {
  const { name, find } = isDirectory(files)
    ? { name: files.name, find: (name: string) => findIn(files, name) }
    : fromList(what, files);
  return {
    name,
    find,
    async open(name) {
      const file = await find(name);
      return file && blobSource(name, file);
    },
  };
}

function isDirectory(files: FolderFiles): files is FileSystemDirectoryHandle {
  return "getFileHandle" in files;
}

function fromList(what: string, files: readonly File[]): Omit<DiskFolder, "open"> {
  const depth = (file: File) => file.webkitRelativePath.split("/").length;
  const configs = files.filter(({ name }) => name === "config.json");
  const [first, second] = (configs.length > 0 ? configs : files).toSorted((a, b) => depth(a) - depth(b));
  if (configs.length > 0 && first && second && depth(first) === depth(second)) {
    const [one, other] = [first, second].map((file) => file.webkitRelativePath || file.name);
    throw new CheckpointError(
      `The ${what} has two checkpoints, with ${one} and ${other}: give the files of one folder.`,
    );
  }
  const name = first ? folderOf(first) : "";
  const found = new Map(files.filter((file) => folderOf(file) === name).map((file) => [file.name, file]));
  return { name, find: async (name) => found.get(name) };
}

function folderOf(file: File): string {
  return file.webkitRelativePath.split("/").slice(0, -1).join("/");
}

async function findIn(folder: FileSystemDirectoryHandle, name: string): Promise<File | undefined> {
  checkFileName(name, folder.name);
  try {
    return await (await folder.getFileHandle(name)).getFile();
  } catch (cause) {
    // A folder of that name is no file.
    if (isNamed(cause, "NotFoundError") || isNamed(cause, "TypeMismatchError")) return undefined;
    throw new CheckpointError(
      `${folder.name}/${name} could not be opened (${(cause as Error).message}): choose the folder again.`,
      { cause },
    );
  }
}
