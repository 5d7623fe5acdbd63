import { isObject, parseObject } from "../../src/checkpoint/json.ts";
import { checkFileName } from "../../src/checkpoint/source.ts";
import { OptionError, StorageError } from "../../src/errors.ts";
import { show } from "../../src/show.ts";
import { fault } from "./fault.ts";
import { type Explain, openFolder, unwritable } from "./folder.ts";
import { withState } from "./locks.ts";
import { ifThere } from "./sync-file.ts";

/** A file of a model, as far as it is known. */
export interface FileState {
  readonly name: string;
  /** In bytes; undefined until the server has told. */
  readonly size?: number;
  /**
   * What it is held to, in hexadecimal: what was promised of it, or, where nobody knew one, what it had when it was
   * complete for the first time. So a second check finds what has changed since, and not what was wrong from the start.
   */
  readonly sha256?: string;
  /** Which version of it the server had. */
  readonly version?: string;
  /** Whether its SHA-256 was taken over what is on the disk, and was right. */
  readonly done: boolean;
}

/** What is known of a model that is in the browser's storage, or on the way there. */
export interface ModelState {
  readonly files: readonly FileState[];
  /** Whether all files are done, and there are no others. */
  readonly whole: boolean;
  /** Where it is fetched from. */
  readonly url?: string;
  readonly weights?: string;
  /** Files that are taken for missing, since their server lets nobody see whether they are. */
  readonly withheld?: readonly string[];
  /** Milliseconds since 1970. */
  readonly changed: number;
}

/** Longest name of a model: with an ending it is still a file's. */
const NAME_LIMIT = 128;
const STATE = "state.json";
const FORMAT = 1;

/** A model's folder: its state, the checkpoint's files, and beside them how far those have come that are on their way. */
export interface ModelFolder {
  readonly directory: FileSystemDirectoryHandle;
  readonly files: FileSystemDirectoryHandle;
  readonly progress: FileSystemDirectoryHandle;
}

/** @throws OptionError for a name that cannot be a folder's. */
export function checkModelName(name: string): void {
  if (typeof name === "string" && name.length <= NAME_LIMIT && name.trim() === name) {
    try {
      checkFileName(name, "");
      return;
    } catch {
      // Said below in the words that fit.
    }
  }
  throw new OptionError(
    `The model's name is ${show(name)}; wanted at most ${NAME_LIMIT} characters without slashes, backslashes and colons.`,
  );
}

/** The folder of all models. */
export async function modelsDirectory(): Promise<FileSystemDirectoryHandle> {
  if (!navigator.storage?.getDirectory) {
    throw new StorageError(
      "This browser offers no private file system to store models in: use a current browser, on a secure page.",
    );
  }
  const root = await navigator.storage.getDirectory().catch((cause: Error) => {
    throw new StorageError(
      `This browser does not let the page store models (${cause.message}): allow it to store data, or leave the private window.`,
      { cause },
    );
  });
  const own = await root.getDirectoryHandle("ziya-webgpu", { create: true });
  return own.getDirectoryHandle("models", { create: true });
}

/** A model's folder, which is made if it is not there. */
export async function makeModelFolder(name: string): Promise<ModelFolder> {
  const directory = await (await modelsDirectory()).getDirectoryHandle(name, { create: true });
  const files = await directory.getDirectoryHandle("files", { create: true });
  const progress = await directory.getDirectoryHandle("progress", { create: true });
  return { directory, files, progress };
}

/** A model's folder, or undefined where there is none. */
export async function findModelFolder(name: string): Promise<ModelFolder | undefined> {
  const directory = await ifThere((await modelsDirectory()).getDirectoryHandle(name));
  const files = directory && (await ifThere(directory.getDirectoryHandle("files")));
  const progress = directory && (await ifThere(directory.getDirectoryHandle("progress")));
  return directory && files && progress && { directory, files, progress };
}

/** Undefined where nothing is known of a model: then nothing of what is in its folder counts. */
export async function readState(name: string): Promise<ModelState | undefined> {
  const directory = await ifThere((await modelsDirectory()).getDirectoryHandle(name));
  return (
    directory &&
    withState(name, "shared", async () => {
      const handle = await ifThere(directory.getFileHandle(STATE));
      return handle && parseState(await (await handle.getFile()).text());
    })
  );
}

export async function writeState(
  name: string,
  directory: FileSystemDirectoryHandle,
  state: ModelState,
  explain: Explain = unwritable,
): Promise<void> {
  await withState(name, "exclusive", async () => {
    const folder = await openFolder(directory, explain);
    await folder.replace(STATE, `${JSON.stringify({ format: FORMAT, ...state }, undefined, 1)}\n`);
  });
  fault("state-written");
}

/** Deleting begins with this: from then on nothing of the folder counts. */
export async function removeState(name: string, directory: FileSystemDirectoryHandle): Promise<void> {
  await withState(name, "exclusive", async () => (await openFolder(directory)).remove(STATE));
}

/** Undefined for what another version wrote, or what the disk has lost. */
function parseState(text: string): ModelState | undefined {
  let json: Readonly<Record<string, unknown>>;
  try {
    json = parseObject(text, STATE);
  } catch {
    return undefined;
  }
  const { format, files, whole, url, weights, withheld, changed } = json;
  if (format !== FORMAT || !Array.isArray(files) || typeof whole !== "boolean") return undefined;
  if (!files.every(isFileState) || typeof changed !== "number") return undefined;
  return {
    files,
    whole: whole && files.every(({ done }) => done),
    changed,
    ...(typeof url === "string" && { url }),
    ...(typeof weights === "string" && { weights }),
    ...(Array.isArray(withheld) && { withheld: withheld.filter((name) => typeof name === "string") }),
  };
}

function isFileState(value: unknown): value is FileState {
  if (!isObject(value)) return false;
  const { name, size, sha256, version, done } = value;
  return (
    typeof name === "string" &&
    (size === undefined || Number.isSafeInteger(size)) &&
    (sha256 === undefined || typeof sha256 === "string") &&
    (version === undefined || typeof version === "string") &&
    typeof done === "boolean"
  );
}
