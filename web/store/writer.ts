import { StorageError } from "../../src/errors.ts";
import { explainFor } from "./describe.ts";
import { fault } from "./fault.ts";
import { type Explain, type Folder, openFolder, removePartials } from "./folder.ts";
import { StateKeeper } from "./keeper.ts";
import { hold, type Release } from "./locks.ts";
import { checkModelName, type ModelFolder, type ModelState, makeModelFolder, readState } from "./state.ts";
import { isNamed } from "./sync-file.ts";

/** The one who writes to a model, of all tabs. */
export interface Writer {
  readonly name: string;
  readonly folder: ModelFolder;
  readonly files: Folder;
  /** What was there. */
  readonly state: ModelState | undefined;
  readonly keeper: StateKeeper;
  readonly explain: Explain;
  readonly release: Release;
}

/**
 * Waits until nobody else writes to a model. What they have left half written is removed.
 * @param url of where it is fetched from
 * @throws OptionError for its name, StorageError where another model has it, or the signal's reason.
 */
export async function beginWriting(
  name: string,
  url: string | undefined,
  signal?: AbortSignal,
): Promise<Writer> {
  checkModelName(name);
  const use = await hold(name, "use", "shared", signal);
  let write: Release | undefined;
  const release = () => {
    write?.();
    use();
  };
  try {
    write = await hold(name, "write", "exclusive", signal);
    const state = await readState(name);
    expectSameSource(name, url, state);
    const folder = await makeModelFolder(name);
    fault("folder-made");
    const explain = explainFor(name);
    const files = await openFolder(folder.files, explain);
    await removePartials(folder.directory);
    await removePartials(folder.files);
    const begun = { files: [], whole: false, changed: Date.now(), ...(url !== undefined && { url }) };
    const keeper = new StateKeeper(name, folder, state ?? begun, explain);
    return { name, folder, files, state, keeper, explain, release };
  } catch (error) {
    release();
    throw isNamed(error, "QuotaExceededError") ? await explainFor(name)(name, error) : error;
  }
}

/** @throws StorageError where a model of another origin has the name: nobody's files are written over. */
export function expectSameSource(name: string, url: string | undefined, state: ModelState | undefined): void {
  if (!state || state.url === url) return;
  const from = (address: string | undefined) => (address === undefined ? "from the disk" : `from ${address}`);
  throw new StorageError(
    `${name} is in the browser's storage already, ${from(state.url)}, and this one is ${from(url)}: give it another name, ` +
      `or delete the one that is there.`,
  );
}
