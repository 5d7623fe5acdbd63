import { blobSource, refusePointers } from "../../src/checkpoint/source.ts";
import type { SourceFolder, Sources } from "../../src/convert/inputs.ts";
import { CheckpointError, OptionError } from "../../src/errors.ts";
import type { ConversionSource, FolderFiles } from "../api.ts";

type FindFile = (name: string) => Promise<File | undefined>;

/**
 * What is converted, as it lies on the person's disk.
 * @throws OptionError unless it is a model, or a base and its delta; CheckpointError for files of several folders.
 */
export function openSources({ model, base, delta }: ConversionSource, calibration?: File): Sources {
  const text = calibration && {
    name: calibration.name,
    folder: sourceFolder(`${calibration.name}, given as the calibration text,`, async () => calibration),
  };
  if (model && !base && !delta) return { model: openPart("model", model), calibration: text };
  if (base && delta && !model) {
    return { base: openPart("base", base), delta: openPart("delta", delta), calibration: text };
  }
  throw new OptionError("Wanted either the files of a model, or those of a base and of its delta.");
}

function openPart(part: string, files: FolderFiles): SourceFolder {
  if (isList(files)) {
    const { folder, find } = openList(part, files);
    return sourceFolder(folder === "" ? `The ${part}` : `${folder}, given as the ${part},`, find);
  }
  return sourceFolder(`${files.name}, given as the ${part},`, (name) => findIn(files, name));
}

function isList(files: FolderFiles): files is readonly File[] {
  return Array.isArray(files);
}

function sourceFolder(title: string, find: FindFile): SourceFolder {
  return {
    title,
    open: refusePointers(async (name) => {
      const file = await find(name);
      return file && blobSource(name, file);
    }),
    modified: async (name) => (await find(name))?.lastModified,
  };
}

/**
 * A person chooses a folder with all that is in it: the files of the checkpoint are those beside the config, or, without
 * one, those that lie highest.
 */
function openList(
  part: string,
  files: readonly File[],
): { readonly folder: string; readonly find: FindFile } {
  const depth = (file: File) => file.webkitRelativePath.split("/").length;
  const configs = files.filter(({ name }) => name === "config.json");
  const [first, second] = (configs.length > 0 ? configs : files).toSorted((a, b) => depth(a) - depth(b));
  if (configs.length > 0 && first && second && depth(first) === depth(second)) {
    const [one, other] = [first, second].map((file) => file.webkitRelativePath || file.name);
    throw new CheckpointError(
      `The ${part} has two checkpoints, with ${one} and ${other}: give the files of one folder.`,
    );
  }
  const folder = first ? folderOf(first) : "";
  const found = new Map(files.filter((file) => folderOf(file) === folder).map((file) => [file.name, file]));
  return { folder, find: async (name) => found.get(name) };
}

/** As the person's computer shows it, and empty for files that were chosen one by one. */
function folderOf(file: File): string {
  return file.webkitRelativePath.split("/").slice(0, -1).join("/");
}

async function findIn(folder: FileSystemDirectoryHandle, name: string): Promise<File | undefined> {
  try {
    return await (await folder.getFileHandle(name)).getFile();
  } catch (error) {
    if (error instanceof DOMException && error.name === "NotFoundError") return undefined;
    throw new CheckpointError(
      `${folder.name}/${name} could not be opened (${(error as Error).message}): choose the folder again.`,
      { cause: error },
    );
  }
}
