import type { StoredModel } from "../api.ts";
import { type Explain, namesIn, unwritable } from "./folder.ts";
import { countedIn, storedFile } from "./small.ts";
import { noRoom } from "./space.ts";
import { findModelFolder, type ModelFolder, modelsDirectory, readState } from "./state.ts";
import { isNamed } from "./sync-file.ts";

/** The models that are stored, whole or not, by name. */
export async function listModels(): Promise<StoredModel[]> {
  const names = await namesIn(await modelsDirectory());
  return Promise.all(names.map(describeModel));
}

/** What is there of a model: nothing counts of a folder without a state. */
export async function describeModel(name: string): Promise<StoredModel> {
  const state = await readState(name);
  const folder = await findModelFolder(name);
  const { files = [], whole = false, url, weights, withheld = [], changed = 0 } = state ?? {};
  const total = files.reduce((sum, { size = 0 }) => sum + size, 0);
  let done = 0;
  for (const file of files) {
    if (file.done) done += file.size ?? 0;
    else if (folder) done += await countedIn(folder, file.name);
  }
  return {
    name,
    whole,
    // A conversion's files are not known before its end, but take their room.
    done: files.length === 0 && folder ? await bytesIn(folder) : done,
    total,
    changed,
    ...(url !== undefined && { url }),
    ...(weights !== undefined && { weights }),
    ...(withheld.length > 0 && { withheld }),
  };
}

/** Explains what the disk refuses to a model: that it is full, with what else is stored. */
export function explainFor(model: string): Explain {
  return async (file, cause) => {
    if (!isNamed(cause, "QuotaExceededError")) return unwritable(file, cause);
    const { total, done } = await describeModel(model);
    return noRoom(model, total > done ? total - done : undefined, listModels, cause);
  };
}

async function bytesIn(folder: ModelFolder): Promise<number> {
  let sum = 0;
  for (const name of await namesIn(folder.files)) sum += (await storedFile(folder, name))?.size ?? 0;
  return sum;
}
