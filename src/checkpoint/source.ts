import { CheckpointError } from "../errors.ts";
import { show } from "../show.ts";
import { decodeUtf8 } from "../utf8.ts";

/**
 * Bytes that can be read by range: a file, a `Blob`, an HTTP resource, memory. Everything that reads a
 * checkpoint goes through this, so that a tensor costs its own bytes only.
 */
export interface ByteSource {
  /** For messages: a file name or URL. */
  readonly name: string;
  /** Length in bytes. */
  readonly size: number;
  /**
   * Exactly `length` bytes from `offset`; a short read is a `CheckpointError`, never a shorter array. The source does not
   * write over them at a later read; the reader does not write to them at all. The signal is for sources that can be
   * stopped; whoever gives it does not wait for the others.
   */
  read(offset: number, length: number, signal?: AbortSignal): Promise<Uint8Array>;
}

/** Opens a file of a checkpoint folder by name; `undefined` when there is no such file. The signal is as for reads. */
export type OpenFile = (name: string, signal?: AbortSignal) => Promise<ByteSource | undefined>;

/** Opens and reads files as `open` does, until the signal is aborted: then each rejects with its reason, at once. */
export function abortable(open: OpenFile, signal: AbortSignal): OpenFile {
  return async (name) => {
    const file = await unlessAborted(signal, () => open(name, signal));
    return (
      file && {
        name: file.name,
        size: file.size,
        read: (offset, length) => unlessAborted(signal, () => file.read(offset, length, signal)),
      }
    );
  };
}

/** What is to be called when a signal is aborted: one listener of it serves all, for Node takes ten for a leak. */
const waiting = new WeakMap<AbortSignal, Set<() => void>>();

function waitingFor(signal: AbortSignal): Set<() => void> {
  const known = waiting.get(signal);
  if (known) return known;
  const stops = new Set<() => void>();
  signal.addEventListener("abort", () => stops.forEach((stop) => void stop()), { once: true });
  waiting.set(signal, stops);
  return stops;
}

/** What `work` comes to, unless the signal is aborted before: nobody waits for it then. */
export async function unlessAborted<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  signal.throwIfAborted();
  const stops = waitingFor(signal);
  let stop = () => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    stops.add(stop);
  });
  try {
    return await Promise.race([work(), aborted]);
  } finally {
    stops.delete(stop);
  }
}

/** What Git LFS leaves in a file's place until the file is fetched begins so, and is shorter than this. */
const POINTER = new TextEncoder().encode("version https://git-lfs.github.com/spec/v1");
const POINTER_LIMIT = 1024;

/**
 * Opens files as `open` does.
 * @throws CheckpointError for those that are Git LFS pointers, which no reader could name so clearly.
 */
export function refusePointers(open: OpenFile): OpenFile {
  return async (name, signal) => {
    const file = await open(name, signal);
    if (!file || file.size >= POINTER_LIMIT || file.size < POINTER.length) return file;
    const head = await file.read(0, POINTER.length, signal);
    if (!POINTER.every((byte, i) => head[i] === byte)) return file;
    throw new CheckpointError(
      `${file.name} is a Git LFS pointer, not the file itself: run \`git lfs pull\` in its folder, or download the file.`,
    );
  };
}

/** Bytes in memory. What is read shares their memory. */
export function bytesSource(name: string, bytes: Uint8Array): ByteSource {
  return {
    name,
    size: bytes.length,
    async read(offset, length) {
      checkRange(this, offset, length);
      return bytes.subarray(offset, offset + length);
    },
  };
}

/** A file that the user chose in a page, or one of the origin's private file system. */
export function blobSource(name: string, blob: Blob): ByteSource {
  return {
    name,
    size: blob.size,
    async read(offset, length) {
      checkRange(this, offset, length);
      try {
        return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
      } catch (cause) {
        // The browser says NotReadableError when the file was changed or removed after it was chosen.
        throw new CheckpointError(
          `${name} could not be read at byte ${offset}: choose the file again, it may have changed or moved.`,
          { cause },
        );
      }
    },
  };
}

/** @throws CheckpointError when [offset, offset + length) is not inside the source. */
export function checkRange(source: ByteSource, offset: number, length: number): void {
  const whole = Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0;
  if (!whole || offset + length > source.size) {
    throw new CheckpointError(
      `Wanted ${length} bytes at ${offset} of ${source.name}, which has ${source.size}: the file is cut short or ` +
        `its header is wrong, so fetch it again.`,
    );
  }
}

/** The files besides the weights that make a folder a model. */
export const TEXT_FILES: readonly string[] = [
  "config.json",
  "generation_config.json",
  "tokenizer.model",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "chat_template.jinja",
];

/** Longest text file of a checkpoint that is believed: tokenizer.json of 13B models has 2 MB, of others up to 35. */
export const TEXT_LIMIT = 40 * 1024 * 1024;

/** The index of a checkpoint in several files. That of a conversion is written last: a folder without it is not finished. */
export const INDEX = "model.safetensors.index.json";

/** Stands in the index's place until all shards are written, so that nothing takes the folder for a checkpoint. */
export const UNFINISHED_INDEX = "model.safetensors.index.partial.json";

/** Longest index that is believed: that of 13B models has 40 KB, with the sums of a conversion 80. */
export const INDEX_LIMIT = 4 * 1024 * 1024;

/**
 * A whole file of text, such as `config.json`.
 * @throws CheckpointError when it is longer than `limit` bytes or not UTF-8.
 */
export async function readText(source: ByteSource, limit?: number): Promise<string> {
  return decodeText(await readWhole(source, limit), source.name);
}

/**
 * A whole file of text or of a tokenizer.
 * @throws CheckpointError when it is longer than `limit` bytes.
 */
export async function readWhole(source: ByteSource, limit: number = TEXT_LIMIT): Promise<Uint8Array> {
  if (source.size > limit) {
    throw new CheckpointError(
      `${source.name} has ${source.size} bytes, and a text file of a checkpoint at most ${limit}: this is not one.`,
    );
  }
  return source.read(0, source.size);
}

/** @throws CheckpointError when the bytes are not UTF-8. */
export function decodeText(bytes: Uint8Array, what: string): string {
  const fault = (cause: unknown) =>
    new CheckpointError(`${what} is not UTF-8 text: the file is damaged, so fetch it again.`, { cause });
  return decodeUtf8(bytes, fault, true);
}

/**
 * @throws CheckpointError unless `name` names a file of the folder itself: no path, no drive, no parent.
 */
export function checkFileName(name: string, where: string): void {
  // The names Windows reserves are left to it; a control character or separator is never in a checkpoint's file name.
  if (name === "" || name === "." || name === ".." || name.length > 255 || /[/\\:\p{Cc}]/u.test(name)) {
    throw new CheckpointError(
      `${where} names the file ${show(name)}; wanted the plain name of a file in the same folder.`,
    );
  }
}
