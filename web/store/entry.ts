import { type ByteSource, checkRange, unlessAborted } from "../../src/checkpoint/source.ts";
import { CheckpointError } from "../../src/errors.ts";
import type { Shard } from "./shard.ts";

/** A file that is planned, or there. */
export interface Entry {
  readonly size: number;
  readonly shard: Shard | undefined;
  /** Resolves when it is there and right. */
  readonly ready: Promise<void>;
  settle(error?: unknown): void;
  isDone: boolean;
}

/** A safetensors file begins with the length of its header. */
const LENGTH_BYTES = 8;

export function entryOf(size: number, shard: Shard | undefined): Entry {
  let settle: Entry["settle"] = () => {};
  const ready = new Promise<void>((resolve, reject) => {
    settle = (error) => {
      if (error !== undefined) return reject(error);
      entry.isDone = true;
      resolve();
    };
  });
  // Whoever waits for it hears of it, and nobody need.
  ready.catch(() => {});
  const entry: Entry = { size, shard, ready, settle: (error) => settle(error), isDone: false };
  return entry;
}

export function waitFor(promise: Promise<void>, signal: AbortSignal | undefined): Promise<void> {
  return signal ? unlessAborted(signal, () => promise) : promise;
}

/**
 * A safetensors file on its way: its header can be read as soon as it has come, all else once the file is there and right.
 * @param stored Where it will be.
 */
export function earlySource(
  name: string,
  entry: Entry,
  shard: Shard,
  stored: { readonly address: string; open(): Promise<ByteSource | undefined> },
): ByteSource {
  const { size } = entry;
  let early: Uint8Array | undefined;
  let opened: Promise<ByteSource> | undefined;
  const open = async () => {
    const file = await stored.open();
    const head = file?.size === size ? await file.read(0, early?.length ?? 0) : undefined;
    if (file && head?.every((byte, i) => byte === early![i])) return file;
    throw new CheckpointError(`${stored.address} changed while it was read: load the model again.`);
  };
  const source: ByteSource = {
    name,
    size,
    read: async (offset, length, signal) => {
      checkRange(source, offset, length);
      if (!entry.isDone && isHeader(offset, length, early)) {
        const head = await Promise.race([shard.head(offset + length), entry.ready.then(() => undefined)]);
        if (head) {
          early = head;
          return head.slice(offset);
        }
      }
      await waitFor(entry.ready, signal);
      opened ??= open();
      return (await opened).read(offset, length);
    },
  };
  return source;
}

function isHeader(offset: number, length: number, early: Uint8Array | undefined): boolean {
  if (offset === 0) return length === LENGTH_BYTES;
  if (!early || early.length < LENGTH_BYTES) return false;
  const announced = new DataView(early.buffer, early.byteOffset).getBigUint64(0, true);
  return offset === LENGTH_BYTES && BigInt(length) === announced;
}
