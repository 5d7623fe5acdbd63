import { blobSource, checkFileName, type OpenFile } from "../../src/checkpoint/source.ts";
import type { FolderFiles } from "../api.ts";
import { ifThere, isNamed } from "./sync-file.ts";

/** The files of a folder on the person's disk, by their plain names, whatever folders a drop has put around them. */
export function diskFolder(files: FolderFiles): OpenFile {
  if (!isDirectory(files)) {
    const byName = new Map(files.map((file) => [file.name, file]));
    return async (name) => {
      const file = byName.get(name);
      return file && blobSource(name, file);
    };
  }
  return async (name) => {
    checkFileName(name, "The folder");
    const handle = await ifThere(files.getFileHandle(name)).catch((error: unknown) => {
      // A folder of that name is no file.
      if (isNamed(error, "TypeMismatchError")) return undefined;
      throw error;
    });
    return handle && blobSource(name, await handle.getFile());
  };
}

function isDirectory(files: FolderFiles): files is FileSystemDirectoryHandle {
  return "getFileHandle" in files;
}
