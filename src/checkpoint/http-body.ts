import { CheckpointError } from "../errors.ts";
import { PassingError, passingWait } from "./retry.ts";

/** As much of `fetch` as is called; spelt out, because a program's libraries need not have that. */
export type Fetch = (url: string, init?: RequestInit) => Promise<Response>;

/** The longest file that is kept in memory where the server gives it only as a whole. */
const MOST_WHOLE_BYTES = 64 * 1024 * 1024;

/** The response to a request for `length` bytes from `offset`. */
export function requestRange(
  fetch: Fetch,
  url: string,
  offset: number,
  length: number,
  signal: AbortSignal | undefined,
): Promise<Response> {
  return request(fetch, url, { headers: { range: `bytes=${offset}-${offset + length - 1}` } }, signal);
}

/** @throws PassingError when there is none or none for now, or the reason of a signal that is aborted. */
export async function request(
  fetch: Fetch,
  url: string,
  init: Parameters<Fetch>[1],
  signal: AbortSignal | undefined,
): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, { ...init, signal: signal ?? null });
  } catch (cause) {
    signal?.throwIfAborted();
    throw new PassingError(
      `${url} could not be fetched: ${cause instanceof Error ? cause.message : cause}. Check the connection and, ` +
        `in a page, that the server allows this origin (CORS).`,
      false,
      { cause },
    );
  }
  const wait = passingWait(response);
  if (wait === undefined) return response;
  await discard(response);
  const when = wait > 0 ? `in ${Math.ceil(wait / 1000)} s, as it says` : "later";
  throw new PassingError(`${unexpected(url, response)} Try again ${when}.`, true, { wait });
}

/** For messages: a status that is none of those that answer a request. */
export function unexpected(url: string, response: Response): string {
  return `${url} answered ${response.status} ${response.statusText} to a request for a range of bytes; wanted 206.`;
}

export function noRanges(url: string): CheckpointError {
  return new CheckpointError(
    `${url} was asked for a range of bytes and answered with the whole file: use a server that does HTTP Range ` +
      `(python3 -m http.server does not).`,
  );
}

/** Before it is asked for: what a server claims to have need not fit in memory. */
export function allocate(url: string, length: number): Uint8Array {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    throw new CheckpointError(
      `${length} bytes of ${url} were wanted at once, and they do not fit in memory.`,
      {
        cause,
      },
    );
  }
}

/** The body into `bytes`, checked against their length as it arrives: a server that sends more is cut off, not believed. */
export async function readBody(
  url: string,
  response: Response,
  bytes: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const { length } = bytes;
  let filled = 0;
  for await (const chunk of chunksOf(url, response, `${length} bytes`, signal)) {
    if (filled + chunk.length <= length) bytes.set(chunk, filled);
    filled += chunk.length;
    if (filled > length) break;
  }
  if (filled === length) return bytes;
  throw new CheckpointError(
    `${url} sent ${filled > length ? "more than" : `${filled} bytes instead of`} the ${length} bytes asked for: ` +
      `load the model again.`,
  );
}

/** A body of a length that only its end tells. */
export async function readWhole(
  url: string,
  response: Response,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunksOf(url, response, "an unknown number of bytes", signal)) {
    chunks.push(chunk);
    length += chunk.length;
    if (length > MOST_WHOLE_BYTES) throw noRanges(url);
  }
  const bytes = new Uint8Array(length);
  let filled = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, filled);
    filled += chunk.length;
  }
  return bytes;
}

/** The body as it arrives; what the reader does not ask for is not sent. `wanted` is for the message. */
async function* chunksOf(
  url: string,
  response: Response,
  wanted: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  let received = 0;
  try {
    for (let chunk = await reader?.read(); chunk && !chunk.done; chunk = await reader?.read()) {
      received += chunk.value.length;
      yield chunk.value;
    }
  } catch (cause) {
    signal?.throwIfAborted();
    throw new PassingError(
      `The connection to ${url} broke after ${received} of ${wanted}: load the model again.`,
      true,
      { cause },
    );
  } finally {
    await reader?.cancel().catch(() => undefined);
  }
}

/** Ends a response whose body nobody wants. */
export async function discard(response: Response): Promise<void> {
  await response.body?.cancel().catch(() => undefined);
}
