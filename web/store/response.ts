import { forbidden, missingBy, versionOf } from "../../src/checkpoint/http.ts";
import { PassingError } from "../../src/checkpoint/retry.ts";
import { TEXT_LIMIT } from "../../src/checkpoint/source.ts";
import { CheckpointError } from "../../src/errors.ts";
import type { Version } from "./pieces.ts";

/** A response to a request for a range, its bytes as they come. */
export interface RangeResponse {
  /** That of the file it is of. */
  readonly version: Version | undefined;
  /** Of the whole file, where the response tells. */
  readonly size: number | undefined;
  /** Whether it is the whole file, because the server does no ranges or the file is another one. */
  readonly whole: boolean;
  readonly sha256: string | undefined;
  readonly chunks: AsyncIterable<Uint8Array>;
  /** Ends it, where its bytes are not wanted. */
  discard(): Promise<void>;
}

/** A response whose bytes may not stop coming for too long. */
export interface Sent {
  readonly response: Response;
  readonly chunks: AsyncIterable<Uint8Array>;
  discard(): Promise<void>;
}

/** What it tells of the file, and its bytes. */
export function aboutFile({ response, chunks, discard }: Sent) {
  return { version: versionIn(response), sha256: sumIn(response), chunks, discard };
}

/** @throws CheckpointError for what is no whole file. */
export async function expectWhole(url: string, sent: Sent): Promise<Sent> {
  const { status, statusText } = sent.response;
  if (status === 200) return sent;
  await sent.discard();
  throw new CheckpointError(`${url} answered ${status} ${statusText}; wanted 200.`);
}

/** @throws CheckpointError where a file that was there before is not any more. */
export async function expectFound(url: string, { response, discard }: Sent): Promise<void> {
  const missing = missingBy(response);
  if (!missing) return;
  await discard();
  if (missing.forbidden) throw forbidden(url);
  throw new CheckpointError(
    `${url} was there and is not any more (${missing.missing}): begin again, and what is there is kept.`,
  );
}

/**
 * The bytes of a body as they come.
 * @param beat Called before each wait for more, and `end` after the last.
 */
export async function* chunksOf(
  url: string,
  response: Response,
  signal: AbortSignal,
  beat: () => void,
  end: () => void,
): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  try {
    for (;;) {
      beat();
      const chunk = await reader?.read();
      if (!chunk || chunk.done) return;
      yield chunk.value;
    }
  } catch (cause) {
    signal.throwIfAborted();
    throw new PassingError(`The connection to ${url} broke: check it, and begin again.`, true, { cause });
  } finally {
    end();
    await reader?.cancel().catch(() => undefined);
  }
}

/** What is thrown where fewer bytes came than there are. */
export function endedEarly(url: string): PassingError {
  return new PassingError(`${url} ended before its end: check the connection, and begin again.`, true);
}

/** A text file as a whole. */
export async function gather(url: string, chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  for await (const part of chunks) {
    parts.push(new Uint8Array(part));
    length += part.length;
    if (length > TEXT_LIMIT) {
      throw new CheckpointError(
        `${url} has more than ${TEXT_LIMIT} bytes, the most that a text file of a checkpoint has: this is not one.`,
      );
    }
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/** What tells one version of a file from another; undefined where the server says nothing that does. */
export function versionIn(response: Response): Version | undefined {
  const { headers } = response;
  const [etag, modified] = [headers.get("etag"), headers.get("last-modified")];
  if (etag === null && modified === null) return undefined;
  // A weak ETag promises no more than the same meaning.
  const validator = etag?.startsWith('"') ? etag : modified;
  return { name: versionOf(response), ...(validator && { validator }) };
}

/** The SHA-256 that a hub of models gives a large file's ETag, its own or that of where it is redirected. */
export function sumIn({ headers }: Response): string | undefined {
  const etag = headers.get("x-linked-etag") ?? headers.get("etag") ?? "";
  return /^(?:W\/)?"?([0-9a-f]{64})"?$/i.exec(etag)?.[1]?.toLowerCase();
}
