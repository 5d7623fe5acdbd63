import { blobSource, refusePointers } from "../../src/checkpoint/source.ts";
import type { SourceFolder, Sources } from "../../src/convert/inputs.ts";
import { OptionError } from "../../src/errors.ts";
import type { ConversionSource, FolderFiles } from "../api.ts";
import { type DiskFolder, diskFolder } from "../store/disk.ts";

type FindFile = DiskFolder["find"];

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
  const { name, find } = diskFolder(part, files);
  return sourceFolder(name === "" ? `The ${part}` : `${name}, given as the ${part},`, find);
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
