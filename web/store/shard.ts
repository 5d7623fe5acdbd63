import { CheckpointError } from "../../src/errors.ts";
import { sharedChunks } from "./cross-origin.ts";
import { fault } from "./fault.ts";
import { hashPieces } from "./hash.ts";
import type { Meter } from "./meter.ts";
import { Pieces } from "./pieces.ts";
import { type Remote, WrongRangeError } from "./remote.ts";
import { endedEarly, type RangeResponse } from "./response.ts";
import { retriedWhile } from "./retry.ts";
import type { FileState, ModelFolder } from "./state.ts";
import { openSync, removeEntry, type SyncFile } from "./sync-file.ts";
import { Tries } from "./tries.ts";

export interface ShardOptions {
  readonly remote: Remote;
  readonly folder: ModelFolder;
  readonly meter: Meter;
  /** In bytes. */
  readonly piece: number;
  readonly signal: AbortSignal;
  /** Bytes that the meter has counted already. */
  readonly present: number;
  /** Writes down that the file is there and right. */
  onRight(file: FileState): Promise<void>;
}

/** What the first lane claims of a file that comes as a whole. */
const WHOLE = -1;
/** Ends the requests for bytes that are not wanted any more. */
class Superseded extends Error {}

/** A large file on its way: fetched by any number of lanes, each of them a piece at a time. */
export class Shard {
  readonly name: string;
  readonly #options: ShardOptions;
  /** Whether size and SHA-256 are those of a conversion's index, and not what the server happens to say. */
  readonly #promised: boolean;
  #size: number;
  #sha256: string | undefined;
  #pieces: Pieces | undefined;
  #preparing: Promise<void> | undefined;
  #claims = new Set<number>();
  /** Replaced when what is under way is not wanted any more. */
  #stop = new AbortController();
  #whole = false;
  readonly #tries: Tries;
  #finishing = false;
  #waiting: (() => void)[] = [];

  constructor(file: FileState & { readonly size: number }, promised: boolean, options: ShardOptions) {
    this.name = file.name;
    this.#size = file.size;
    this.#sha256 = file.sha256;
    this.#promised = promised;
    this.#options = options;
    this.#tries = new Tries(options.remote.address(file.name), promised);
  }

  get size(): number {
    return this.#size;
  }

  /** Opens it, or takes it from where another site has left it. */
  prepare(): Promise<void> {
    this.#preparing ??= this.#prepare();
    return this.#preparing;
  }

  async #prepare(): Promise<void> {
    const { folder, meter, piece, present } = this.#options;
    const held: SyncFile[] = [];
    const open = async (directory: FileSystemDirectoryHandle) => {
      const file = await openSync(await directory.getFileHandle(this.name, { create: true }));
      held.push(file);
      return file;
    };
    try {
      this.#pieces = new Pieces(await open(folder.files), await open(folder.progress), this.#size, piece);
    } catch (error) {
      for (const file of held) file.close();
      throw error;
    }
    // Nothing would tell whether what is there and what comes are of one file.
    if (!this.#sha256 && !this.#pieces.version) this.#pieces.reset();
    meter.correct(this.#pieces.done - present);
    await this.#takeShared(this.#pieces);
    await this.#finishIfFull(this.#pieces);
  }

  /** A piece that nobody is at, or undefined where there is none for now. */
  claim(): number | undefined {
    const pieces = this.#pieces;
    if (!pieces || this.#finishing) return undefined;
    for (const claim of this.#whole ? [WHOLE] : pieces.incomplete()) {
      if (this.#claims.has(claim)) continue;
      this.#claims.add(claim);
      return claim;
    }
    return undefined;
  }

  /**
   * Fetches what was claimed; who brings the last of it holds the file to its SHA-256.
   * @param most Bytes of the file up to which is enough.
   */
  async work(claim: number, most = Number.POSITIVE_INFINITY): Promise<void> {
    const pieces = this.#pieces!;
    const claims = this.#claims;
    const { signal } = this.#stop;
    const both = AbortSignal.any([signal, this.#options.signal]);
    try {
      if (claim === WHOLE) await this.#fetchWhole(pieces, both);
      else await this.#fetchPiece(pieces, claim, Math.min(most, pieces.endOf(claim)), both);
    } catch (error) {
      if (!(error instanceof Superseded)) throw error;
    } finally {
      // What was superseded has its claims in a set that is not looked at any more.
      claims.delete(claim);
    }
    await this.#finishIfFull(pieces);
  }

  /** The first bytes of the file as soon as they are there, right or not; undefined once it is closed. */
  async head(length: number): Promise<Uint8Array | undefined> {
    await this.prepare();
    while (this.#pieces && this.#pieces.missingFrom(0) < Math.min(length, this.#pieces.endOf(0))) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    const pieces = this.#pieces;
    return pieces && length <= pieces.missingFrom(0) ? pieces.read(0, length) : undefined;
  }

  /** Keeps what is there. */
  close(): void {
    try {
      this.#pieces?.flush();
    } finally {
      this.#pieces?.close();
      this.#pieces = undefined;
      this.#wake();
    }
  }

  async #fetchPiece(pieces: Pieces, piece: number, end: number, signal: AbortSignal): Promise<void> {
    while (pieces.missingFrom(piece) < end) {
      await retriedWhile(
        () => pieces.missingFrom(piece),
        signal,
        async () => {
          const { remote } = this.#options;
          const response = await remote
            .range(this.name, pieces.missingFrom(piece), end, pieces.version, signal)
            .catch((error: Error) => {
              if (!(error instanceof WrongRangeError)) throw error;
              return this.#fetchAsWhole();
            });
          await this.#expectSame(pieces, response, signal);
          if (response.whole) {
            await response.discard();
            this.#fetchAsWhole();
          }
          for await (const chunk of response.chunks) {
            signal.throwIfAborted();
            this.#append(pieces, piece, chunk.subarray(0, end - pieces.missingFrom(piece)));
            if (pieces.missingFrom(piece) === end) return;
          }
          throw endedEarly(this.#address);
        },
      );
    }
  }

  async #fetchWhole(pieces: Pieces, signal: AbortSignal): Promise<void> {
    while (pieces.done < pieces.size) {
      await retriedWhile(
        () => pieces.done,
        signal,
        async () => {
          const response = await this.#options.remote.whole(this.name, signal);
          await this.#expectSame(pieces, response, signal);
          let at = 0;
          for await (const chunk of response.chunks) {
            signal.throwIfAborted();
            if (at + chunk.length > pieces.size) {
              throw new CheckpointError(
                `${this.#address} has more than the ${pieces.size} bytes that it is said to have: fetch it from elsewhere.`,
              );
            }
            for (const [piece, bytes] of pieces.missingOf(at, chunk)) this.#append(pieces, piece, bytes);
            at += chunk.length;
          }
          if (at < pieces.size) throw endedEarly(this.#address);
        },
      );
    }
  }

  #append(pieces: Pieces, piece: number, bytes: Uint8Array): void {
    pieces.append(piece, bytes);
    this.#options.meter.add(bytes.length, this.name);
    if (piece === 0) this.#wake();
  }

  /** @throws Superseded where the server has another file by now, which begins alone. */
  async #expectSame(pieces: Pieces, response: RangeResponse, signal: AbortSignal): Promise<void> {
    const { version, size = pieces.size } = response;
    const same = size === pieces.size && (!pieces.version || version?.name === pieces.version.name);
    if (same) {
      if (!pieces.version && version) pieces.adopt(version);
      return;
    }
    await response.discard();
    signal.throwIfAborted();
    await this.#restart(pieces, response);
  }

  async #restart(pieces: Pieces, { size, sha256 }: RangeResponse): Promise<never> {
    this.#tries.noteChange(size, pieces.size);
    const { remote, meter, signal } = this.#options;
    // Nobody writes bytes of the old file any more.
    this.#supersede();
    if (!this.#promised) {
      const now = size === undefined ? await remote.probe(this.name, signal) : { size, sha256 };
      meter.total += (now?.size ?? this.#size) - this.#size;
      this.#size = now?.size ?? this.#size;
      this.#sha256 = now?.sha256;
    }
    meter.correct(-pieces.done);
    pieces.reset(this.#size);
    this.#finishing = false;
    throw new Superseded();
  }

  #fetchAsWhole(): never {
    this.#whole = true;
    this.#supersede();
    this.#finishing = false;
    throw new Superseded();
  }

  /** Ends what is under way; until `#finishing` is taken back, nothing begins. */
  #supersede(): void {
    this.#finishing = true;
    this.#claims = new Set();
    this.#stop.abort(new Superseded());
    this.#stop = new AbortController();
  }

  async #finishIfFull(pieces: Pieces): Promise<void> {
    if (this.#finishing || this.#claims.size > 0 || pieces.done < pieces.size) return;
    this.#finishing = true;
    pieces.flush();
    fault("shard-filled");
    const found = await hashPieces(this.name, pieces, this.#options.signal);
    const wanted = this.#sha256 ?? found;
    if (found !== wanted) {
      fault("shard-bad");
      this.#options.meter.correct(-pieces.size);
      pieces.reset();
      this.#whole = this.#tries.noteBad(found, wanted);
      this.#finishing = false;
      return;
    }
    fault("shard-right");
    const { folder, onRight } = this.#options;
    const version = pieces.version?.name;
    this.close();
    await onRight({
      name: this.name,
      size: this.#size,
      sha256: found,
      ...(version !== undefined && { version }),
      done: true,
    });
    fault("shard-counted");
    await removeEntry(folder.progress, this.name);
  }

  async #takeShared(pieces: Pieces): Promise<void> {
    if (!this.#sha256 || pieces.done === pieces.size) return;
    for await (const { at, chunk } of sharedChunks(this.#sha256, this.#size)) {
      if (at === 0) {
        this.#options.meter.correct(-pieces.done);
        pieces.reset();
      }
      for (const [piece, bytes] of pieces.missingOf(at, chunk)) this.#append(pieces, piece, bytes);
    }
  }

  get #address(): string {
    return this.#options.remote.address(this.name);
  }

  #wake(): void {
    for (const wake of this.#waiting.splice(0)) wake();
  }
}
