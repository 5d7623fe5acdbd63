import { statfs } from "node:fs/promises";
import { join } from "node:path";
import type { OutputFolder } from "../../src/convert/output.ts";
import { StorageError } from "../../src/errors.ts";
import { showBytes } from "../../src/show.ts";
import { openIfThere } from "../files.ts";
import {
  createFile,
  listFolder,
  makeFolder,
  orUnwritable,
  removeFile,
  removePartials,
  replaceFile,
  syncFolder,
} from "./output.ts";

/** A folder on the disk for a conversion to write to. */
export function outputFolder(folder: string): OutputFolder {
  const path = (name: string) => join(folder, name);
  return {
    name: folder,
    elsewhere: "choose a new or empty folder with --out",
    anew: "empty the folder and begin again",
    path,
    make: () => makeFolder(folder),
    list: () => listFolder(folder),
    open: (name) => openIfThere(path(name), path(name)),
    create: (name) => createFile(path(name)),
    replace: (name, contents) => replaceFile(path(name), contents),
    remove: (name) => removeFile(path(name)),
    removePartials: () => removePartials(folder),
    sync: () => syncFolder(folder),
    async expectRoom(bytes) {
      const { bavail, bsize } = await orUnwritable(folder, statfs(folder));
      const free = bavail * bsize;
      if (bytes <= free) return;
      throw new StorageError(
        `The conversion needs ${showBytes(bytes)} in ${folder}, and its disk has ${showBytes(free)} left: ` +
          `free some space, or choose another folder with --out.`,
        { room: { need: bytes, free } },
      );
    },
  };
}
