import type { OutputFolder } from "../../src/convert/output.ts";
import { listModels } from "../store/describe.ts";
import { type Folder, removePartials } from "../store/folder.ts";
import { expectRoom } from "../store/space.ts";

/** A model's folder in the browser's storage. */
export interface ModelFolder {
  readonly directory: FileSystemDirectoryHandle;
  readonly folder: Folder;
}

/**
 * A model's folder for a conversion to write to, here and in its workers.
 * @param begin is called once, with the first use of it
 */
export function openOutput(model: string, begin: () => Promise<ModelFolder>): OutputFolder {
  let begun: Promise<ModelFolder> | undefined;
  const open = () => {
    begun ??= begin();
    return begun;
  };
  const folder = async () => (await open()).folder;
  return {
    name: model,
    elsewhere: "choose another name",
    anew: "delete the model and begin again",
    path: (name) => `${model}/${name}`,
    make: async () => void (await open()),
    list: async () => (await folder()).list(),
    open: async (name) => (await folder()).open(name),
    create: async (name) => (await folder()).create(name),
    replace: async (name, contents) => (await folder()).replace(name, contents),
    remove: async (name) => (await folder()).remove(name),
    removePartials: async () => removePartials((await open()).directory),
    // A rename is on the disk when it is done, as far as a page can tell.
    sync: async () => {},
    expectRoom: (bytes) => expectRoom(model, bytes, listModels),
  };
}
