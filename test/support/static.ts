import type { IncomingMessage, ServerResponse } from "node:http";
import { extname } from "node:path";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".ts": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".json": "application/json",
  ".webmanifest": "application/manifest+json",
};

/** Answers with a file, or with the range of it that is asked for, as a server of static files does. */
export function sendFile(
  request: IncomingMessage,
  response: ServerResponse,
  name: string,
  bytes: Buffer,
): void {
  const head = {
    "content-type": TYPES[extname(name)] ?? "application/octet-stream",
    "accept-ranges": "bytes",
  };
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
  if (first === undefined) {
    response.writeHead(200, { ...head, "content-length": bytes.length }).end(bytes);
    return;
  }
  const end = Math.min(last ? Number(last) : Number.POSITIVE_INFINITY, bytes.length - 1);
  const part = bytes.subarray(Number(first), end + 1);
  response
    .writeHead(206, {
      ...head,
      "content-length": part.length,
      "content-range": `bytes ${first}-${end}/${bytes.length}`,
    })
    .end(part);
}
