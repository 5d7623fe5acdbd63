import { blobSource, type OpenFile } from "../src/index.ts";
import type { FolderFiles } from "./api.ts";

/** Opens the files of a folder on the person's disk by their names. */
export function openFiles(folder: FolderFiles): OpenFile {
  if (!Array.isArray(folder)) return (name) => fromHandle(folder as FileSystemDirectoryHandle, name);
  const files = new Map((folder as readonly File[]).map((file) => [file.name, file]));
  return async (name) => {
    const file = files.get(name);
    return file && blobSource(name, file);
  };
}

async function fromHandle(folder: FileSystemDirectoryHandle, name: string) {
  try {
    return blobSource(name, await (await folder.getFileHandle(name)).getFile());
  } catch (error) {
    if (error instanceof DOMException && error.name === "NotFoundError") return undefined;
    throw error;
  }
}
