import type { ByteSource } from "../../src/checkpoint/source.ts";
import { type FileSum, hashSource } from "../../src/convert/manifest.ts";
import { StorageError } from "../../src/errors.ts";
import type { Pieces } from "./pieces.ts";
import { createSha256, hexOf } from "./sha256.ts";

/** Bytes that are hashed at a time, some 5 ms. */
const HASH_BYTES = 1024 * 1024;
/**
 * Web Crypto takes a file at once, and a copy of it, but a tenth of the time, and none of this thread's: files up to the size of
 * a conversion's shards go that way where the browser says that the machine has memory for it.
 */
const AT_ONCE = { most: 257 * 1024 * 1024, memoryGigabytes: 8 };

/** The files that are in memory as a whole, one at a time. */
let atOnce: Promise<unknown> = Promise.resolve();

/**
 * The SHA-256 of what is on the disk, from its beginning, whenever a file is complete: a hash that had come along with the
 * bytes would have to be kept beside them, and would tell what was received, not what was written.
 */
export async function hashPieces(name: string, pieces: Pieces, signal: AbortSignal): Promise<string> {
  if (!fitsAtOnce(pieces.size)) return hashByParts(name, pieces, signal);
  return hashAtOnce(() => readAll(name, pieces, 0, pieces.size), signal);
}

/** As hashPieces(), of a file that is in the store already. */
export async function hashStored(
  source: ByteSource,
  signal?: AbortSignal,
  onProgress: (bytes: number) => void = () => {},
): Promise<FileSum> {
  const { name, size } = source;
  if (fitsAtOnce(size)) {
    const sha256 = await hashAtOnce(() => source.read(0, size), signal);
    onProgress(size);
    return { name, size, sha256 };
  }
  return hashSource(source, createSha256(), (bytes) => {
    signal?.throwIfAborted();
    onProgress(bytes);
  });
}

function fitsAtOnce(size: number): boolean {
  const { deviceMemory = 0 } = navigator as { deviceMemory?: number };
  return size <= AT_ONCE.most && deviceMemory >= AT_ONCE.memoryGigabytes;
}

async function hashAtOnce(
  read: () => Uint8Array | Promise<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<string> {
  const hash = atOnce.then(async () => {
    signal?.throwIfAborted();
    return crypto.subtle.digest("SHA-256", (await read()) as Uint8Array<ArrayBuffer>);
  });
  atOnce = hash.catch(() => {});
  return hexOf(new Uint8Array(await hash));
}

async function hashByParts(name: string, pieces: Pieces, signal: AbortSignal): Promise<string> {
  const hash = createSha256();
  for (let at = 0; at < pieces.size; at += HASH_BYTES) {
    hash.update(readAll(name, pieces, at, Math.min(HASH_BYTES, pieces.size - at)));
    // The other lanes' bytes, and the engine beside them, have their turn.
    await nextTask();
    signal.throwIfAborted();
  }
  return hash.hex();
}

function readAll(name: string, pieces: Pieces, offset: number, length: number): Uint8Array {
  const bytes = pieces.read(offset, length);
  if (bytes.length === length) return bytes;
  pieces.reset();
  throw new StorageError(
    `The browser has not stored all that it was given of ${name}: its storage may be full, so free some space.`,
  );
}

/** Resolves in a task of its own: timers would wait for milliseconds. */
function nextTask(): Promise<void> {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });
}
