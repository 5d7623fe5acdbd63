import { checkFileName, type OpenFile, TEXT_FILES, TEXT_LIMIT } from "../../src/checkpoint/source.ts";
import { CheckpointError } from "../../src/errors.ts";
import type { StoredModel } from "../api.ts";
import { shareFile } from "./cross-origin.ts";
import { type Entry, earlySource, entryOf, waitFor } from "./entry.ts";
import { type Explain, namesIn, openFolder } from "./folder.ts";
import type { StateKeeper } from "./keeper.ts";
import type { Meter } from "./meter.ts";
import { type Finder, type Plan, packingIn, planFiles } from "./plan.ts";
import type { Remote } from "./remote.ts";
import { Shard } from "./shard.ts";
import { countedIn, SmallFiles, storedFile } from "./small.ts";
import { expectRoom } from "./space.ts";
import type { FileState, ModelFolder } from "./state.ts";
import { removeEntry } from "./sync-file.ts";

interface DownloadOptions {
  readonly remote: Remote;
  readonly name: string;
  readonly folder: ModelFolder;
  readonly keeper: StateKeeper;
  readonly meter: Meter;
  /** In bytes. */
  readonly piece: number;
  /** Requests at a time. */
  readonly connections: number;
  readonly signal: AbortSignal;
  readonly explain: Explain;
  /** Other models, of which some could be deleted. */
  others(): Promise<readonly StoredModel[]>;
}

/** Of each shard, so many bytes come first: the headers of all are read before the first weight is. */
const HEAD_BYTES = 128 * 1024;
/** A model on its way, by one worker that holds its write lock. */
export class Download {
  readonly #options: DownloadOptions;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  readonly #entries = new Map<string, Entry>();
  readonly #planned: Entry;
  /** Shards whose head was asked for, or is not needed. */
  readonly #begun = new Set<Shard>();
  #hasReader = false;

  constructor(options: DownloadOptions) {
    this.#options = options;
    this.#signal = AbortSignal.any([options.signal, this.#stop.signal]);
    this.#planned = entryOf(0, undefined);
  }

  /**
   * Fetches all that is missing.
   * @throws CheckpointError, StorageError or the signal's reason; what is there is kept.
   */
  async run(): Promise<void> {
    try {
      await this.#run();
    } catch (cause) {
      const error = await this.#explain(cause);
      this.#planned.settle(error);
      for (const entry of this.#entries.values()) entry.settle(error);
      throw error;
    }
  }

  /** A file as soon as it is there and right. Of a shard, the header can be read before. */
  readonly open: OpenFile = async (name, signal) => {
    checkFileName(name, "The checkpoint");
    this.#hasReader = true;
    await waitFor(this.#planned.ready, signal);
    const entry = this.#entries.get(name);
    if (!entry) return undefined;
    const { shard } = entry;
    if (!shard) {
      await waitFor(entry.ready, signal);
      return storedFile(this.#options.folder, name);
    }
    const { folder, remote } = this.#options;
    return earlySource(name, entry, shard, {
      address: remote.address(name),
      open: () => storedFile(folder, name),
    });
  };

  async #run(): Promise<void> {
    const { remote, name, folder, meter, explain, others } = this.#options;
    const files = await openFolder(folder.files, explain);
    const small = new SmallFiles(remote, folder, files, this.#options.keeper, meter, this.#signal);
    const finder = this.#finder(small);
    const plan = await planFiles(finder);
    await this.#begin(plan);
    meter.total = this.#total();
    const present = (await others()).find((model) => model.name === name)?.done ?? 0;
    await expectRoom(name, Math.max(0, meter.total - present), others);
    this.#planned.settle();

    await Promise.all(
      plan.files.map(async ({ name, sha256 }) => {
        const entry = this.#entries.get(name)!;
        if (entry.shard || entry.isDone) return;
        const kept = await small.keep(name, sha256 === undefined ? undefined : { sha256 });
        if (kept) return entry.settle();
        throw new CheckpointError(`${remote.address(name)} is missing: the index names it, so put it there.`);
      }),
    );
    await this.#fetchShards();
    await this.#removeOthers();
    const weights = await packingIn(plan, finder, (name) => storedFile(folder, name));
    await this.#options.keeper.change({ whole: true, ...(weights !== undefined && { weights }) });
    meter.report();
  }

  /** Keeps small files as they are looked for, so that each takes one request. */
  #finder(small: SmallFiles): Finder {
    const { remote } = this.#options;
    const kept = new Map<string, Promise<FileState | undefined>>();
    const keep = (name: string) => {
      const known = kept.get(name) ?? small.keep(name);
      kept.set(name, known);
      return known;
    };
    return {
      name: remote.url,
      text: async (name) => ((await keep(name)) ? small.read(name) : undefined),
      look: async (name) => {
        if (TEXT_FILES.includes(name)) return keep(name);
        const found = await remote.probe(name, this.#signal);
        if (!found) return undefined;
        const { size, version, sha256 } = found;
        return { size, ...(sha256 && { sha256 }), ...(version && { version: version.name }) };
      },
    };
  }

  /** Notes what is planned, and what of it is there. */
  async #begin({ index, files, promised }: Plan): Promise<void> {
    const { remote, folder, meter } = this.#options;
    const states: FileState[] = index === undefined ? [] : [this.#options.keeper.done(index)!];
    for (const { small, ...file } of files) {
      const before = this.#options.keeper.done(file.name);
      // Small files that nobody promised were kept a moment ago; large ones are asked for their version.
      const known = promised
        ? before?.sha256 === file.sha256
        : small || (file.version !== undefined && before?.version === file.version);
      const there = known && (await storedFile(folder, file.name))?.size === file.size;
      states.push(before && there ? before : { ...file, done: false });
    }
    const large = new Set(
      files.filter(({ small, size = 0 }) => !small || size > TEXT_LIMIT).map(({ name }) => name),
    );
    for (const state of states) {
      const { name, size = 0, done } = state;
      const isLarge = large.has(name);
      const shard = isLarge && !done ? await this.#shard({ ...state, size }, promised) : undefined;
      const entry = entryOf(size, shard);
      if (done) entry.settle();
      // Others were counted as they were kept.
      if (done && (isLarge || (promised && name !== index))) meter.correct(size);
      this.#entries.set(name, entry);
    }
    await this.#options.keeper.change({ files: states, withheld: [...remote.withheld] });
  }

  async #shard(file: FileState & { readonly size: number }, promised: boolean): Promise<Shard> {
    const { remote, folder, meter, piece } = this.#options;
    const present = await countedIn(folder, file.name);
    meter.correct(present);
    return new Shard(file, promised, {
      present,
      remote,
      folder,
      meter,
      piece,
      signal: this.#signal,
      onRight: async (file) => {
        await this.#options.keeper.put(file);
        this.#entries.get(file.name)!.settle();
        await shareFile(folder, file);
      },
    });
  }

  /** What the browser itself has thrown is of the disk. */
  async #explain(cause: unknown): Promise<unknown> {
    const { name, explain, signal } = this.#options;
    return cause instanceof DOMException && !signal.aborted ? explain(name, cause) : cause;
  }

  #total(): number {
    return [...this.#entries.values()].reduce((sum, { size }) => sum + size, 0);
  }

  async #fetchShards(): Promise<void> {
    const waiting = () => [...this.#entries.values()].filter(({ isDone }) => !isDone);
    const lane = async () => {
      for (let next = await this.#next(); next; next = await this.#next()) {
        await next.shard.work(next.claim, next.most);
      }
    };
    try {
      while (waiting().length > 0) {
        const lanes = Array.from({ length: this.#options.connections }, () =>
          lane().catch((error: unknown) => {
            // The first failure is the one to be heard of; nothing goes on beside it.
            this.#stop.abort(error);
          }),
        );
        await Promise.all(lanes);
        this.#signal.throwIfAborted();
      }
    } finally {
      for (const { shard } of waiting()) closeQuietly(shard);
    }
  }

  /** Work for a lane: heads first, where somebody waits for them; then piece by piece in the order of the files. */
  async #next(): Promise<{ shard: Shard; claim: number; most?: number } | undefined> {
    for (const heads of this.#hasReader ? [true, false] : [false]) {
      for (const { shard, isDone } of this.#entries.values()) {
        if (!shard || isDone || (heads && this.#begun.has(shard))) continue;
        this.#begun.add(shard);
        await shard.prepare();
        const claim = shard.claim();
        if (claim !== undefined) return { shard, claim, ...(heads && { most: HEAD_BYTES }) };
      }
    }
    return undefined;
  }

  /** Removes what an earlier plan had and this one has not. */
  async #removeOthers(): Promise<void> {
    for (const directory of [this.#options.folder.files, this.#options.folder.progress]) {
      for (const name of await namesIn(directory)) {
        if (directory === this.#options.folder.files && this.#entries.has(name)) continue;
        await removeEntry(directory, name);
      }
    }
  }
}

/** After a failure, which is what is to be heard of. */
function closeQuietly(shard: Shard | undefined): void {
  try {
    shard?.close();
  } catch {
    // As it was closed.
  }
}
