import { fault } from "./fault.ts";
import { readFully, type SyncFile, writeFully } from "./sync-file.ts";

/** Longest head of a sidecar: a line of JSON, padded. A version that does not fit is not kept. */
const HEAD_BYTES = 1024;
/** Written bytes after which file and sidecar are brought to the disk, in this order. */
const FLUSH_BYTES = 32 * 1024 * 1024;

/** Which version of a file its bytes are of, as the server calls it. */
export interface Version {
  /** To be compared. */
  readonly name: string;
  /** For If-Range, where there is one that may stand there. */
  readonly validator?: string;
}

interface Head {
  readonly size: number;
  /** Bytes of a piece, of which the last may have fewer. */
  readonly piece: number;
  readonly version?: Version;
}

/**
 * A file that comes in pieces, each of them from its beginning on, and any of them first. The sidecar has the bytes of
 * each that are there: [head, u32 count of piece 0, u32 count of piece 1, …].
 *
 * A count is written after its bytes, so that a worker or a browser that ends between loses a few bytes and believes
 * none that it lacks. A machine that loses its power may have written the counts alone: that is found by the SHA-256,
 * as everything is, and costs the file once more.
 */
export class Pieces {
  readonly #data: SyncFile;
  readonly #sidecar: SyncFile;
  #head: Head;
  #counts: Uint32Array;
  #unflushed = 0;

  /** @param piece in bytes, for a file that begins */
  constructor(data: SyncFile, sidecar: SyncFile, size: number, piece: number) {
    this.#data = data;
    this.#sidecar = sidecar;
    const found = parseSidecar(readFully(sidecar, new Uint8Array(sidecar.getSize()), 0));
    if (found?.head.size === size) {
      this.#head = found.head;
      this.#counts = found.counts;
    } else {
      this.#head = { size, piece };
      this.#counts = new Uint32Array(Math.ceil(size / piece));
      this.reset();
    }
  }

  get size(): number {
    return this.#head.size;
  }

  get count(): number {
    return this.#counts.length;
  }

  get version(): Version | undefined {
    return this.#head.version;
  }

  /** Bytes that are there. */
  get done(): number {
    return this.#counts.reduce((sum, count) => sum + count, 0);
  }

  /** First byte of a piece that is not there; its end if all is. */
  missingFrom(piece: number): number {
    return piece * this.#head.piece + this.#counts[piece]!;
  }

  endOf(piece: number): number {
    return Math.min(this.size, (piece + 1) * this.#head.piece);
  }

  /** Pieces of which bytes are missing, in their order. */
  *incomplete(): Generator<number, void> {
    for (let piece = 0; piece < this.count; piece++) {
      if (this.missingFrom(piece) < this.endOf(piece)) yield piece;
    }
  }

  /** Of bytes of the whole file from `at` on those that are not there, by piece; each to be appended before the next is asked for. */
  *missingOf(at: number, bytes: Uint8Array): Generator<[piece: number, bytes: Uint8Array], void> {
    for (let done = 0; done < bytes.length; ) {
      const piece = Math.floor((at + done) / this.#head.piece);
      const end = Math.min(bytes.length, this.endOf(piece) - at);
      const first = Math.max(done, this.missingFrom(piece) - at);
      if (first < end) yield [piece, bytes.subarray(first, end)];
      done = end;
    }
  }

  /** Bytes that follow those of their piece; no more than it has room for. */
  append(piece: number, bytes: Uint8Array): void {
    writeFully(this.#data, bytes, this.missingFrom(piece));
    fault("bytes-written");
    this.#counts[piece]! += bytes.length;
    writeFully(this.#sidecar, asBytes(this.#counts.subarray(piece, piece + 1)), HEAD_BYTES + 4 * piece);
    fault("bytes-counted");
    this.#unflushed += bytes.length;
    if (this.#unflushed >= FLUSH_BYTES) this.flush();
  }

  /** Of which version the bytes are that come; none may be there. */
  adopt(version: Version): void {
    this.#head = { ...this.#head, version };
    this.#writeHead();
  }

  /** Nothing of it counts any more. */
  reset(size: number = this.size): void {
    // The counts of the old head go first.
    this.#sidecar.truncate(0);
    this.#head = { size, piece: this.#head.piece };
    this.#counts = new Uint32Array(Math.ceil(size / this.#head.piece));
    // All of its room at once: where there is none, that is known before a byte of it is fetched.
    this.#data.truncate(0);
    this.#data.truncate(size);
    writeFully(this.#sidecar, asBytes(this.#counts), HEAD_BYTES);
    this.#writeHead();
    fault("pieces-begun");
  }

  read(offset: number, length: number): Uint8Array {
    return readFully(this.#data, new Uint8Array(length), offset);
  }

  flush(): void {
    this.#data.flush();
    this.#sidecar.flush();
    this.#unflushed = 0;
  }

  close(): void {
    this.#data.close();
    this.#sidecar.close();
  }

  #writeHead(): void {
    const { version, ...plain } = this.#head;
    const whole = new TextEncoder().encode(JSON.stringify(this.#head));
    const text = whole.length <= HEAD_BYTES ? whole : new TextEncoder().encode(JSON.stringify(plain));
    const head = new Uint8Array(HEAD_BYTES).fill(0x20);
    head.set(text);
    writeFully(this.#sidecar, head, 0);
  }
}

/** How many bytes a sidecar says are there: 0 for one that cannot be believed. */
export function countedBytes(sidecar: Uint8Array): number {
  return parseSidecar(sidecar)?.counts.reduce((sum, count) => sum + count, 0) ?? 0;
}

function parseSidecar(bytes: Uint8Array): { head: Head; counts: Uint32Array } | undefined {
  if (bytes.length <= HEAD_BYTES) return undefined;
  let head: Head;
  try {
    head = JSON.parse(new TextDecoder().decode(bytes.subarray(0, HEAD_BYTES)));
  } catch {
    return undefined;
  }
  const { size, piece } = head;
  if (!Number.isSafeInteger(size) || !Number.isSafeInteger(piece) || size < 1 || piece < 1) return undefined;
  const count = Math.ceil(size / piece);
  if (bytes.length !== HEAD_BYTES + 4 * count) return undefined;
  const counts = new Uint32Array(bytes.slice(HEAD_BYTES).buffer);
  const fits = counts.every((have, i) => have <= Math.min(piece, size - i * piece));
  return fits ? { head, counts } : undefined;
}

function asBytes({ buffer, byteOffset, byteLength }: Uint32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}
