import type { Readable } from "node:stream";
import { StorageError } from "../../src/errors.ts";
import { EXIT, type Io, UsageError, write } from "./command.ts";
import { chunksOf, decodeInput } from "./text.ts";

/** The longest line that is read, in bytes. */
const LONGEST_LINE = 256 * 1024 * 1024;

/**
 * JSON Lines: each line of stdin through `convert`, the results to stdout. Ends at the first line that is wrong, with
 * its number, after all the lines before it were written.
 * @throws StorageError when stdin cannot be read.
 */
export async function convertLines(io: Io, convert: (value: unknown) => unknown): Promise<number> {
  let number = 0;
  try {
    for await (const bytes of splitLines(io.stdin)) {
      number++;
      const text = decodeInput(bytes, "it");
      if (text.trim() === "") continue;
      await write(io.stdout, `${JSON.stringify(convert(JSON.parse(text)))}\n`);
    }
    return EXIT.ok;
  } catch (error) {
    // Not of a line.
    if (error instanceof StorageError) throw error;
    await write(io.stderr, `Line ${number} of stdin: ${(error as Error).message}\n`);
    return EXIT.failure;
  }
}

/**
 * The lines of stdin. Splits at "\n" only: `node:readline` splits at U+2028 too, which JSON allows within a string.
 * @throws UsageError for a line that is too long, StorageError when stdin cannot be read.
 */
export async function* splitLines(input: Readable): AsyncGenerator<Uint8Array> {
  let parts: Buffer[] = [];
  let length = 0;
  for await (const chunk of chunksOf(input, "stdin")) {
    let rest = chunk;
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      yield Buffer.concat([...parts, rest.subarray(0, end)]);
      parts = [];
      length = 0;
      rest = rest.subarray(end + 1);
    }
    parts.push(rest);
    length += rest.length;
    if (length > LONGEST_LINE) throw new UsageError(`it is longer than ${LONGEST_LINE} bytes.`);
  }
  if (length > 0) yield Buffer.concat(parts);
}
