import { readFile } from "node:fs/promises";
import { type Io, UsageError } from "./command.ts";

/** The longest text that is read whole, in bytes. */
const LONGEST_TEXT = 64 * 1024 * 1024;

/**
 * What a person hands in as text. U+FEFF at the beginning, with which some editors mark UTF-8, is no part of it.
 * @param what its name in messages
 * @throws UsageError when the bytes are not UTF-8.
 */
export function decodeInput(bytes: Uint8Array, what: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new UsageError(`${what} is not UTF-8; wanted a text: save it as UTF-8.`);
  }
}

/**
 * A whole file as a text, or with "-" all of stdin. The newline that ends its last line is no part of it.
 * @throws UsageError when it is not UTF-8 or longer than any context, and the system's error when it cannot be read.
 */
export async function readInput(path: string, io: Io): Promise<string> {
  const what = path === "-" ? "stdin" : path;
  const bytes = path === "-" ? await readAll(io) : await readFile(path);
  if (bytes.length > LONGEST_TEXT) {
    throw new UsageError(`${what} has more than ${LONGEST_TEXT} bytes; no context holds that.`);
  }
  return decodeInput(bytes, what).replace(/\r?\n$/, "");
}

async function readAll(io: Io): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of io.stdin as AsyncIterable<Buffer | string>) {
    const bytes = Buffer.from(chunk);
    chunks.push(bytes);
    length += bytes.length;
    if (length > LONGEST_TEXT) break;
  }
  return Buffer.concat(chunks);
}
