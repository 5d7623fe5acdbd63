import { type ByteSource, blobSource, bytesSource, readWhole } from "../../src/checkpoint/source.ts";
import { CheckpointError } from "../../src/errors.ts";
import type { Folder } from "./folder.ts";
import { hashStored } from "./hash.ts";
import type { StateKeeper } from "./keeper.ts";
import type { Meter } from "./meter.ts";
import { countedBytes } from "./pieces.ts";
import type { Remote } from "./remote.ts";
import type { FileState, ModelFolder } from "./state.ts";
import { ifThere } from "./sync-file.ts";

/** How often a small file with a wrong SHA-256 is fetched again. */
const MOST_BAD = 2;

/** A file of a model that is on the disk; undefined where there is none. */
export async function storedFile({ files }: ModelFolder, name: string): Promise<ByteSource | undefined> {
  const handle = await ifThere(files.getFileHandle(name));
  return handle && blobSource(name, await handle.getFile());
}

/** Bytes of a file on its way that are there, by its sidecar. */
export async function countedIn({ progress }: ModelFolder, name: string): Promise<number> {
  const handle = await ifThere(progress.getFileHandle(name));
  if (!handle) return 0;
  try {
    return countedBytes(new Uint8Array(await (await handle.getFile()).arrayBuffer()));
  } catch (error) {
    // A browser may keep a file from others while it is written.
    if (error instanceof DOMException) return 0;
    throw error;
  }
}

/** Fetches the small files of a model, each by one request, and keeps them. */
export class SmallFiles {
  readonly #remote: Remote;
  readonly #folder: ModelFolder;
  readonly #files: Folder;
  readonly #keeper: StateKeeper;
  readonly #meter: Meter;
  readonly #signal: AbortSignal;

  constructor(
    remote: Remote,
    folder: ModelFolder,
    files: Folder,
    keeper: StateKeeper,
    meter: Meter,
    signal: AbortSignal,
  ) {
    this.#remote = remote;
    this.#folder = folder;
    this.#files = files;
    this.#keeper = keeper;
    this.#meter = meter;
    this.#signal = signal;
  }

  /**
   * What is kept of a file, which is fetched if it is not there or has changed; undefined where there is none.
   * @param promised what the index says of it
   */
  async keep(name: string, promised?: { readonly sha256?: string }): Promise<FileState | undefined> {
    const before = this.#keeper.done(name);
    if (before && (await this.#isCurrent(before, promised?.sha256))) {
      this.#meter.correct(before.size ?? 0);
      return before;
    }
    for (let bad = 0; ; ) {
      const got = await this.#remote.get(name, this.#signal);
      if (!got) return undefined;
      await this.#files.replace(name, got.bytes);
      const { size, sha256 } = await this.#hash(name);
      const wanted = promised?.sha256 ?? got.sha256 ?? sha256;
      if (sha256 === wanted) {
        const version = got.version?.name;
        const file = { name, size, sha256, ...(version !== undefined && { version }), done: true };
        this.#meter.add(size, name);
        await this.#keeper.put(file);
        return file;
      }
      if (++bad > MOST_BAD) {
        throw new CheckpointError(
          `${this.#remote.address(name)} has the SHA-256 ${sha256}, and ${wanted} was promised: it was fetched ${bad} times, ` +
            `so it is damaged there, or index and file are of different versions. Put it there again.`,
        );
      }
    }
  }

  async read(name: string): Promise<Uint8Array> {
    return readWhole((await storedFile(this.#folder, name)) ?? bytesSource(name, new Uint8Array()));
  }

  async #isCurrent({ name, size, sha256, version }: FileState, promised?: string): Promise<boolean> {
    if ((await storedFile(this.#folder, name))?.size !== size) return false;
    if (promised) return promised === sha256;
    if (version === undefined) return false;
    return (await this.#remote.probe(name, this.#signal))?.version?.name === version;
  }

  /** Of what is on the disk. */
  async #hash(name: string) {
    const source = await storedFile(this.#folder, name);
    return hashStored(source ?? bytesSource(name, new Uint8Array()), this.#signal);
  }
}
