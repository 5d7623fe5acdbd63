import { StorageError } from "../../src/errors.ts";
import type { Pieces } from "./pieces.ts";
import { createSha256 } from "./sha256.ts";

/** Bytes that are hashed at a time, some 5 ms. */
const HASH_BYTES = 1024 * 1024;

/**
 * The SHA-256 of what is on the disk, from its beginning, whenever a file is complete: a hash that had come along with the
 * bytes would have to be kept beside them, and would tell what was received, not what was written.
 */
export async function hashPieces(name: string, pieces: Pieces, signal: AbortSignal): Promise<string> {
  const hash = createSha256();
  for (let at = 0; at < pieces.size; at += HASH_BYTES) {
    const bytes = pieces.read(at, Math.min(HASH_BYTES, pieces.size - at));
    if (bytes.length === 0) {
      pieces.reset();
      throw new StorageError(
        `The browser has not stored all that it was given of ${name}: its storage may be full, so free some space.`,
      );
    }
    hash.update(bytes);
    // The other lanes' bytes, and the engine beside them, have their turn.
    await nextTask();
    signal.throwIfAborted();
  }
  return hash.hex();
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
