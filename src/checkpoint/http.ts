import { CheckpointError, OptionError } from "../errors.ts";
import { show } from "../show.ts";
import {
  allocate,
  discard,
  type Fetch,
  noRanges,
  readBody,
  readWhole,
  request,
  requestRange,
  unexpected,
} from "./http-body.ts";
import { retried } from "./retry.ts";
import { type ByteSource, bytesSource, checkFileName, checkRange, type OpenFile } from "./source.ts";

/** The least that is asked for: sirv, which is Vite's preview, takes "bytes=0-0" for the whole file. */
const PROBE_BYTES = 2;
/** A file that every checkpoint has: a server that refuses it as well gives nothing at all. */
const CERTAIN = "config.json";

/**
 * The files under a folder's URL, read by HTTP Range, and again after a while where a connection breaks or the server is
 * busy. One that the server says it lacks is `undefined`: by 404 or 410, by a page of HTML in its place, or, where it
 * gives other files, by 403, as storage that may not be listed does.
 * @param folder an absolute URL; in a page, `new URL("models/ziya/", document.baseURI)`
 * @throws OptionError for a relative one.
 */
export function httpFolder(folder: string | URL, fetch: Fetch = globalThis.fetch): OpenFile {
  const base = absolute(folder);
  if (!base.pathname.endsWith("/")) base.pathname += "/";
  const addressOf = (name: string) => {
    const url = new URL(base);
    url.pathname += encodeURIComponent(name);
    return url.href;
  };
  let [answered, given] = [false, false];
  const find = async (name: string, signal?: AbortSignal) => {
    const found = await retried(() => openUrl(addressOf(name), fetch, signal), answered, signal);
    answered = true;
    given ||= "read" in found;
    return found;
  };
  return async (name, signal) => {
    checkFileName(name, "The checkpoint");
    const found = await find(name, signal);
    if ("read" in found) return found;
    if (!found.forbidden) return undefined;
    if (!given && name !== CERTAIN) await find(CERTAIN, signal);
    if (given) return undefined;
    throw forbidden(addressOf(name));
  };
}

/**
 * An HTTP resource read by range. A server that does not answer `Range` with 206 has to send the whole, which is kept
 * in memory up to 64 MiB.
 * @throws CheckpointError when it does neither, when there is no such resource, or when the resource changes (size, or
 * ETag, or without one Last-Modified); OptionError for a URL that is relative; the reason of a signal that is aborted.
 */
export async function httpSource(
  url: string | URL,
  fetch: Fetch = globalThis.fetch,
  signal?: AbortSignal,
): Promise<ByteSource> {
  const { href } = absolute(url);
  const found = await retried(() => openUrl(href, fetch, signal), false, signal);
  if ("read" in found) return found;
  if (found.forbidden) throw forbidden(href);
  throw new CheckpointError(`${href} does not exist (${found.missing}): check the address.`);
}

/** What a server answers of a file that it does not have, or does not give. */
export interface Missing {
  readonly missing: string;
  readonly forbidden: boolean;
}

async function openUrl(url: string, fetch: Fetch, signal?: AbortSignal): Promise<ByteSource | Missing> {
  // A few bytes by range tell the size and whether ranges work: HEAD tells only the first, and signed URLs refuse it.
  const response = await requestRange(fetch, url, 0, PROBE_BYTES, signal);
  const missing = missingBy(response);
  if (missing) {
    await discard(response);
    return missing;
  }
  if (response.status === 200) return bytesSource(url, await readWhole(url, response, signal));
  const size = await sizeOf(fetch, url, response, signal);
  const version = versionOf(response);
  await discard(response);
  const source: ByteSource = {
    name: url,
    size,
    async read(offset, length, signal) {
      checkRange(source, offset, length);
      if (length === 0) return new Uint8Array(0);
      const count = Math.min(size, offset + Math.max(length, PROBE_BYTES)) - offset;
      const bytes = allocate(url, count);
      const read = await retried(() => readRange(offset, bytes, signal), true, signal);
      return read.subarray(0, length);
    },
  };
  const readRange = async (offset: number, bytes: Uint8Array, signal: AbortSignal | undefined) => {
    const count = bytes.length;
    const part = await requestRange(fetch, url, offset, count, signal);
    const range = await contentRange(url, part);
    if (versionOf(part) !== version || (range && range.size !== size)) {
      await discard(part);
      throw new CheckpointError(
        `${url} changed while it was read (size ${size}, now ${range?.size ?? "unknown"}; ${version}, now ` +
          `${versionOf(part)}): load the model again.`,
      );
    }
    if (range && (range.first !== offset || range.last !== offset + count - 1)) {
      await discard(part);
      throw new CheckpointError(
        `${url} was asked for bytes ${offset} to ${offset + count - 1} and answered with ${range.first} to ` +
          `${range.last}: the server or a proxy does ranges wrong, so serve the file from elsewhere.`,
      );
    }
    return readBody(url, part, bytes, signal);
  };
  return source;
}

/** Undefined where the response is of the file that was asked for. */
export function missingBy(response: Response): Missing | undefined {
  const { status, headers } = response;
  if (status === 403) return { missing: "403", forbidden: true };
  if (status === 404 || status === 410) return { missing: `${status}`, forbidden: false };
  const type = headers.get("content-type") ?? "";
  // Servers of single-page applications answer so whatever is asked for, and no file of a checkpoint is a page.
  const page = (status === 200 || status === 206) && /^\s*(text\/html|application\/xhtml\+xml)\b/i.test(type);
  return page ? { missing: `${status} with a page, ${type}`, forbidden: false } : undefined;
}

export function forbidden(url: string): CheckpointError {
  return new CheckpointError(
    `${url} may not be read (403 Forbidden): sign the address anew or make the files public, and check the address.`,
  );
}

/** What tells one version of a resource from another. */
export function versionOf(response: Response): string {
  const { headers } = response;
  const etag = headers.get("etag");
  return etag === null ? `Last-Modified ${headers.get("last-modified")}` : `ETag ${etag}`;
}

/** @throws OptionError */
export function absolute(url: string | URL): URL {
  try {
    return new URL(url);
  } catch (cause) {
    throw new OptionError(
      `${show(String(url))} is no absolute URL; wanted one such as "https://example.org/ziya/". In a page: ` +
        `new URL(${show(String(url))}, document.baseURI).`,
      { cause },
    );
  }
}

export async function sizeOf(
  fetch: Fetch,
  url: string,
  response: Response,
  signal: AbortSignal | undefined,
): Promise<number> {
  if (response.status === 416) {
    // Not one byte to give: an empty file.
    const empty = /^bytes \*\/0$/.test(response.headers.get("content-range") ?? "");
    if (empty) return 0;
  }
  const range = await contentRange(url, response);
  if (range) return range.size;
  // A page may read Content-Range of another origin only if that server exposes it; Content-Length it always may.
  const head = await request(fetch, url, { method: "HEAD" }, signal);
  const size = Number(head.headers.get("content-length") ?? Number.NaN);
  if (head.ok && Number.isSafeInteger(size)) return size;
  throw new CheckpointError(
    `${url} does not tell its size: let the server send "Access-Control-Expose-Headers: Content-Range, ETag".`,
  );
}

/** What a 206 says it holds; undefined when the header is hidden from the page, as of another origin it may be. */
export async function contentRange(
  url: string,
  response: Response,
): Promise<{ first: number; last: number; size: number } | undefined> {
  if (response.status === 200) {
    await discard(response);
    throw noRanges(url);
  }
  if (response.status !== 206) {
    await discard(response);
    throw new CheckpointError(unexpected(url, response));
  }
  const header = response.headers.get("content-range");
  if (header === null && response.type === "cors") return undefined;
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(header ?? "");
  if (match) return { first: Number(match[1]), last: Number(match[2]), size: Number(match[3]) };
  await discard(response);
  if (header === null) {
    throw new CheckpointError(
      `${url} answered 206 without a Content-Range, which says what bytes those are: the server or a proxy does ranges ` +
        `wrong, so serve the file from elsewhere.`,
    );
  }
  throw new CheckpointError(`${url} sent the Content-Range ${show(header)}; wanted "bytes first-last/size".`);
}
