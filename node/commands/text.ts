import { createReadStream } from "node:fs";
import type { Readable } from "node:stream";
import { StorageError } from "../../src/errors.ts";
import { decodeUtf8 } from "../../src/utf8.ts";
import { type Io, UsageError } from "./command.ts";

/** The longest text that is read whole, in bytes. */
const LONGEST_TEXT = 64 * 1024 * 1024;

/**
 * What a person hands in as text. U+FEFF at the beginning, with which some editors mark UTF-8, is no part of it.
 * @param what its name in messages
 * @throws UsageError when the bytes are not UTF-8.
 */
export function decodeInput(bytes: Uint8Array, what: string): string {
  return decodeUtf8(bytes, () => new UsageError(`${what} is not UTF-8; wanted a text: save it as UTF-8.`));
}

/**
 * A whole file as a text, or with "-" all of stdin. The newline that ends its last line is no part of it.
 * @throws UsageError when it is not UTF-8 or too long, StorageError when it cannot be read.
 */
export async function readInput(path: string, io: Io): Promise<string> {
  const text = path === "-" ? await readAll(io.stdin, "stdin") : await readTextFile(path);
  return text.replace(/\r?\n$/, "");
}

/** A whole file as a text, with every newline. @throws UsageError or StorageError, as readInput() does. */
export function readTextFile(path: string): Promise<string> {
  return readAll(createReadStream(path), path);
}

async function readAll(stream: Readable, what: string): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const bytes of chunksOf(stream, what)) {
    chunks.push(bytes);
    length += bytes.length;
    if (length <= LONGEST_TEXT) continue;
    throw new UsageError(
      `${what} has more than ${LONGEST_TEXT} bytes, the most that is read: give a part of it.`,
    );
  }
  return decodeInput(Buffer.concat(chunks), what);
}

/**
 * The bytes of a stream as they come.
 * @throws StorageError in the place of what the system says of it, such as that it is a folder.
 */
export async function* chunksOf(stream: Readable, what: string): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of stream as AsyncIterable<Buffer | string>) {
      yield typeof chunk === "string" ? Buffer.from(chunk) : chunk;
    }
  } catch (cause) {
    const { message } = cause as Error;
    throw new StorageError(`${what} could not be read: ${message}: wanted a file with a text.`, { cause });
  }
}
