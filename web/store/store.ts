import type { ByteSource, OpenFile } from "../../src/checkpoint/source.ts";
import { CheckpointError, StorageError } from "../../src/errors.ts";
import { showBytes } from "../../src/show.ts";
import type {
  FolderFiles,
  ModelNeeds,
  ModelSource,
  RemoteModel,
  StorageSpace,
  StoredModel,
  TransferOptions,
} from "../api.ts";
import { addModel } from "./add.ts";
import { beginConversion, type ConversionFolder } from "./conversion.ts";
import { describeModel, listModels } from "./describe.ts";
import { diskFolder } from "./disk.ts";
import { Download } from "./download.ts";
import { fault } from "./fault.ts";
import { announce, follow } from "./follow.ts";
import { type InspectOptions, inspectModel, remoteFolder } from "./inspect.ts";
import { hold, holdNow, type Release } from "./locks.ts";
import { Meter } from "./meter.ts";
import { Remote, type RemoteOptions } from "./remote.ts";
import { storedFile } from "./small.ts";
import { storageSpace } from "./space.ts";
import {
  checkModelName,
  findModelFolder,
  type ModelState,
  modelsDirectory,
  readState,
  removeState,
} from "./state.ts";
import { ifThere, removeEntry } from "./sync-file.ts";
import { verifyFiles } from "./verify.ts";
import { beginWriting, expectSameSource } from "./writer.ts";

interface StoreOptions extends RemoteOptions {
  /** Bytes of a request. Default 8 MiB. */
  readonly piece?: number;
  /** Requests at a time: browsers make six of one server. Default 4. */
  readonly connections?: number;
}

/** A stored model's files, which nobody deletes until they are closed. */
interface HeldFiles {
  (name: string, signal?: AbortSignal): Promise<ByteSource | undefined>;
  close(): void;
}

/** The files of a model that may be on its way: each opens as soon as it is there and right. */
interface RemoteFiles extends HeldFiles {
  /** Resolves when the model is whole. Rejected, what is there is kept. */
  readonly finished: Promise<void>;
}

const PIECE_BYTES = 8 * 1024 * 1024;
const CONNECTIONS = 4;

/** The models in the origin's private file system, in a worker: other tabs' workers may have the same ones. */
export class ModelStore {
  readonly #options: StoreOptions;

  constructor(options: StoreOptions = {}) {
    this.#options = options;
  }

  list(): Promise<StoredModel[]> {
    return listModels();
  }

  space(): Promise<StorageSpace> {
    return storageSpace();
  }

  /** What a model takes, by its config and its index or header only; `options.gpu` is the device that is to run it. */
  async inspect(source: ModelSource, options: InspectOptions = {}): Promise<ModelNeeds> {
    const stored = await listModels();
    if (isOf(source, "files")) {
      const needs = { present: 0, stored, isStored: options.pack !== undefined };
      const found = await inspectModel("The folder", diskFolder("model", source.files).open, needs, options);
      return options.pack === undefined ? { ...found, present: found.bytes } : found;
    }
    const remote = isOf(source, "stored") ? undefined : remoteModel(source);
    const name = isOf(source, "stored") ? source.stored : nameOf(remote!);
    const there = stored.find((model) => model.name === name);
    const present = there?.done ?? 0;
    if (!remote || (there?.whole && there.url === new Remote(remote).url)) {
      const files = await this.open(name, options.signal);
      try {
        return await inspectModel(name, files, { present, stored, isStored: true }, options);
      } finally {
        files.close();
      }
    }
    const open = remoteFolder(remote.url, remote.headers, this.#options.fetch);
    return inspectModel(name, open, { present, stored, isStored: true }, options);
  }

  /** Fetches what is missing of a model. */
  async download(model: string | URL | RemoteModel, options: TransferOptions = {}): Promise<StoredModel> {
    const remote = remoteModel(model);
    const files = this.openRemote(remote, options);
    try {
      await files.finished;
      return await describeModel(nameOf(remote));
    } finally {
      files.close();
    }
  }

  /**
   * A model's files as they come. One that is whole makes no request at all. Where another tab fetches it, its files open
   * when that is done, or has ended.
   */
  openRemote(model: string | URL | RemoteModel, options: TransferOptions = {}): RemoteFiles {
    const stop = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, stop.signal]) : stop.signal;
    const begun = this.#begin(remoteModel(model), signal, options);
    const finished = begun.then(({ finished }) => finished);
    // Whoever reads hears of it as well.
    finished.catch(() => {});
    const open: OpenFile = async (name, signal) => (await begun).open(name, signal);
    const close = () => {
      stop.abort(new DOMException("The model's files were closed.", "AbortError"));
      void Promise.allSettled([begun, finished]).then(() =>
        begun.then(
          ({ release }) => release(),
          () => {},
        ),
      );
    };
    return Object.assign(open, { finished, close });
  }

  async #begin(model: RemoteModel, signal: AbortSignal, { onProgress = () => {} }: TransferOptions) {
    const remote = new Remote(model, this.#options);
    const name = nameOf(model);
    checkModelName(name);
    const release = await hold(name, "use", "shared", signal);
    try {
      const there = await this.#openWhole(name, remote.url);
      if (there) return { open: there, finished: Promise.resolve(), release };
      const unfollow = follow(name, onProgress);
      const writer = await beginWriting(name, remote.url, signal).finally(unfollow);
      // Another tab may have brought it while this one waited.
      const since = await this.#openWhole(name, remote.url);
      if (since) {
        writer.release();
        return { open: since, finished: Promise.resolve(), release };
      }
      const report = announce(name, onProgress);
      const download = new Download({
        ...writer,
        remote,
        meter: new Meter("download", report),
        piece: this.#options.piece ?? PIECE_BYTES,
        connections: this.#options.connections ?? CONNECTIONS,
        signal,
        others: listModels,
      });
      const finished = download.run().finally(() => {
        report.end();
        writer.release();
      });
      return { open: download.open, finished, release };
    } catch (error) {
      release();
      throw error;
    }
  }

  async #openWhole(name: string, url: string): Promise<OpenFile | undefined> {
    const state = await readState(name);
    expectSameSource(name, url, state);
    return state?.whole ? openStored(name, state) : undefined;
  }

  /**
   * The files of a model that is whole.
   * @throws StorageError for one that is not.
   */
  async open(name: string, signal?: AbortSignal): Promise<HeldFiles> {
    checkModelName(name);
    const release = await hold(name, "use", "shared", signal);
    try {
      const state = await readState(name);
      if (!state?.whole) {
        const { done, total } = await describeModel(name);
        throw new StorageError(
          state
            ? `${name} is not whole: ${showBytes(done)} of ${total > 0 ? showBytes(total) : "it"} are there. Let its download or conversion end.`
            : `There is no model ${name} in the browser's storage: download it, or choose one that is listed.`,
        );
      }
      return Object.assign(openStored(name, state), { close: release });
    } catch (error) {
      release();
      throw error;
    }
  }

  /** Copies a checkpoint from the disk. */
  async add(name: string, files: FolderFiles, options: TransferOptions = {}): Promise<StoredModel> {
    const { signal, onProgress = () => {} } = options;
    const writer = await beginWriting(name, undefined, signal);
    try {
      await addModel(writer, files, new Meter("copy", onProgress), signal);
      return await describeModel(name);
    } finally {
      writer.release();
    }
  }

  /** A folder to write a conversion into, or to go on with one. Close it. */
  async create(name: string, signal?: AbortSignal): Promise<ConversionFolder> {
    const writer = await beginWriting(name, undefined, signal);
    try {
      return await beginConversion(writer);
    } catch (error) {
      writer.release();
      throw error;
    }
  }

  /** Holds every byte to its SHA-256 again; files that are wrong are removed, so that a download fetches them again. */
  async verify(name: string, options: TransferOptions = {}): Promise<StoredModel> {
    const { signal, onProgress = () => {} } = options;
    const before = await readState(name);
    if (!before) throw new StorageError(`There is no model ${name} in the browser's storage.`);
    const writer = await beginWriting(name, before.url, signal);
    try {
      await verifyFiles(writer, new Meter("check", onProgress), signal);
      return await describeModel(name);
    } finally {
      writer.release();
    }
  }

  /** @throws StorageError for a model that is being read or written, in this tab or another. */
  async delete(name: string): Promise<void> {
    checkModelName(name);
    const held: Release[] = [];
    try {
      for (const kind of ["use", "write"] as const) {
        const release = await holdNow(name, kind);
        if (!release) {
          throw new StorageError(
            `${name} is in use, in this tab or another one: end the chat that runs it, or its download, and delete it then.`,
          );
        }
        held.push(release);
      }
      const models = await modelsDirectory();
      const directory = await ifThere(models.getDirectoryHandle(name));
      if (!directory) return;
      // From here on it is no model any more, whatever is left of it.
      await removeState(name, directory);
      fault("delete-begun");
      await removeEntry(models, name);
    } finally {
      for (const release of held) release();
    }
  }
}

/** The files of a whole model: what its state does not name is not there, and nobody is asked for it. */
function openStored(model: string, { files }: ModelState): OpenFile {
  const sizes = new Map(files.map(({ name, size }) => [name, size]));
  return async (name) => {
    if (!sizes.has(name)) return undefined;
    const folder = await findModelFolder(model);
    const file = folder && (await storedFile(folder, name));
    if (file?.size === sizes.get(name)) return file;
    throw new CheckpointError(
      `${name} of ${model} ${file ? `has ${file.size} bytes` : "is missing"} in the browser's storage, and had ` +
        `${sizes.get(name)}: check the model, and fetch it again.`,
    );
  };
}

function isOf<K extends "files" | "stored">(
  source: ModelSource,
  key: K,
): source is Extract<ModelSource, { readonly [key in K]: unknown }> {
  return typeof source === "object" && key in source;
}

function remoteModel(model: string | URL | RemoteModel): RemoteModel {
  return typeof model === "string" || model instanceof URL ? { url: model } : model;
}

/** The last part of its path; of a hub's `OWNER/MODEL/resolve/REVISION`, the model. */
export function nameOf({ url, name }: RemoteModel): string {
  if (name !== undefined) return name;
  const parts = new URL(url).pathname.split("/").filter((part) => part !== "");
  const at = parts.indexOf("resolve");
  return decodeURIComponent((at > 0 ? parts[at - 1] : parts.at(-1)) ?? new URL(url).hostname);
}
