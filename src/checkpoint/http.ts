import { CheckpointError } from "../errors.ts";
import { type ByteSource, bytesSource, checkFileName, checkRange, type OpenFile } from "./source.ts";

type Fetch = typeof fetch;

/** The longest file that is kept in memory where the server gives it only as a whole. */
const MOST_WHOLE_BYTES = 64 * 1024 * 1024;

/** The files under a folder's URL, read by HTTP Range; one that the server says it lacks is `undefined`. */
export function httpFolder(folder: string | URL, fetch: Fetch = globalThis.fetch): OpenFile {
  const base = new URL(folder);
  if (!base.pathname.endsWith("/")) base.pathname += "/";
  return async (name) => {
    checkFileName(name, "The checkpoint");
    const url = new URL(base);
    url.pathname += encodeURIComponent(name);
    return openUrl(url.href, fetch);
  };
}

/**
 * An HTTP resource read by range. A server that does not answer `Range` with 206 has to send the whole, which is kept
 * in memory up to 64 MiB.
 * @throws CheckpointError when it does neither, when there is no such resource, or when the resource changes (size or ETag).
 */
export async function httpSource(url: string | URL, fetch: Fetch = globalThis.fetch): Promise<ByteSource> {
  const source = await openUrl(String(url), fetch);
  if (!source) throw new CheckpointError(`${url} does not exist (404): check the address.`);
  return source;
}

async function openUrl(url: string, fetch: Fetch): Promise<ByteSource | undefined> {
  // One byte by range tells the size and whether ranges work: HEAD tells only the first, and signed URLs refuse it.
  const response = await requestRange(fetch, url, 0, 1);
  if (response.status === 404) {
    await discard(response);
    return undefined;
  }
  if (response.status === 200) return bytesSource(url, await readWhole(url, response));
  const size = await sizeOf(fetch, url, response);
  const etag = response.headers.get("etag");
  await discard(response);
  const source: ByteSource = {
    name: url,
    size,
    async read(offset, length) {
      checkRange(source, offset, length);
      if (length === 0) return new Uint8Array(0);
      const bytes = allocate(url, length);
      const part = await requestRange(fetch, url, offset, length);
      const range = await contentRange(url, part);
      if (part.headers.get("etag") !== etag || (range && range.size !== size)) {
        await discard(part);
        throw new CheckpointError(
          `${url} changed while it was read (size ${size}, now ${range?.size ?? "unknown"}; ETag ${etag}, now ` +
            `${part.headers.get("etag")}): load the model again.`,
        );
      }
      if (range && range.first !== offset) {
        await discard(part);
        throw new CheckpointError(
          `${url} was asked for byte ${offset} on and answered from ${range.first}: the server or a proxy does ` +
            `ranges wrong, so serve the file from elsewhere.`,
        );
      }
      return readBody(url, part, bytes);
    },
  };
  return source;
}

function requestRange(fetch: Fetch, url: string, offset: number, length: number): Promise<Response> {
  return request(fetch, url, { headers: { range: `bytes=${offset}-${offset + length - 1}` } });
}

async function request(fetch: Fetch, url: string, init: Parameters<Fetch>[1]): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (cause) {
    throw new CheckpointError(
      `${url} could not be fetched: ${cause instanceof Error ? cause.message : cause}. Check the connection and, ` +
        `in a page, that the server allows this origin (CORS).`,
      { cause },
    );
  }
}

async function sizeOf(fetch: Fetch, url: string, response: Response): Promise<number> {
  if (response.status === 416) {
    // Not one byte to give: an empty file.
    const empty = /^bytes \*\/0$/.test(response.headers.get("content-range") ?? "");
    if (empty) return 0;
  }
  const range = await contentRange(url, response);
  if (range) return range.size;
  // A page may read Content-Range of another origin only if that server exposes it; Content-Length it always may.
  const head = await request(fetch, url, { method: "HEAD" });
  const size = Number(head.headers.get("content-length") ?? Number.NaN);
  if (head.ok && Number.isSafeInteger(size)) return size;
  throw new CheckpointError(
    `${url} does not tell its size: let the server send "Access-Control-Expose-Headers: Content-Range, ETag".`,
  );
}

/** What a 206 says it holds; undefined when the header is hidden from the page. */
async function contentRange(
  url: string,
  response: Response,
): Promise<{ first: number; size: number } | undefined> {
  if (response.status === 200) {
    await discard(response);
    throw noRanges(url);
  }
  if (response.status !== 206) {
    await discard(response);
    throw new CheckpointError(
      `${url} answered ${response.status} ${response.statusText} to a request for a range of bytes; wanted 206.`,
    );
  }
  const header = response.headers.get("content-range");
  if (header === null) return undefined;
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(header);
  if (match) return { first: Number(match[1]), size: Number(match[3]) };
  await discard(response);
  throw new CheckpointError(
    `${url} sent the Content-Range ${JSON.stringify(header.slice(0, 100))}; wanted "bytes first-last/size".`,
  );
}

function noRanges(url: string): CheckpointError {
  return new CheckpointError(
    `${url} was asked for a range of bytes and answered with the whole file: use a server that does HTTP Range ` +
      `(python3 -m http.server does not).`,
  );
}

/** Before it is asked for: what a server claims to have need not fit in memory. */
function allocate(url: string, length: number): Uint8Array {
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
async function readBody(url: string, response: Response, bytes: Uint8Array): Promise<Uint8Array> {
  const { length } = bytes;
  let filled = 0;
  for await (const chunk of chunksOf(url, response, `${length} bytes`)) {
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
async function readWhole(url: string, response: Response): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunksOf(url, response, "an unknown number of bytes")) {
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
async function* chunksOf(url: string, response: Response, wanted: string): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  let received = 0;
  try {
    for (let chunk = await reader?.read(); chunk && !chunk.done; chunk = await reader?.read()) {
      received += chunk.value.length;
      yield chunk.value;
    }
  } catch (cause) {
    throw new CheckpointError(
      `The connection to ${url} broke after ${received} of ${wanted}: load the model again.`,
      { cause },
    );
  } finally {
    await reader?.cancel().catch(() => undefined);
  }
}

async function discard(response: Response): Promise<void> {
  await response.body?.cancel().catch(() => undefined);
}
