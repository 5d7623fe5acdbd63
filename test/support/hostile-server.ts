import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { INDEX } from "../../src/checkpoint/source.ts";

/** A request for a file, and what came of it. */
export interface Served {
  readonly name: string;
  readonly method: string;
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
  readonly headers: IncomingMessage["headers"];
  /** Bytes of the body that went out. */
  sent: number;
}

/** What the server does wrong; all of it can be switched while it serves. */
export interface Misbehaviour {
  /** Answers requests for a range with the whole file. */
  ignoresRanges?: boolean;
  /** Answers with other bytes than were asked for, and says so. */
  shiftsRanges?: boolean;
  /** Answers with other bytes than were asked for, and says that they are those. */
  liesAboutRanges?: boolean;
  /** Sends no Content-Range. */
  hidesRanges?: boolean;
  /** Sends neither ETag nor Last-Modified. */
  hidesVersions?: boolean;
  /** Does not let pages of another origin see its 404s. */
  hidesMissing?: boolean;
  /** Does not allow If-Range to pages of another origin. */
  refusesIfRange?: boolean;
  /** Sends each request on to an address of another origin that holds once, as a hub does, and tells the SHA-256 there. */
  redirects?: boolean;
  /** ETags are the SHA-256 of files, as a hub's are. */
  sumsAsTags?: boolean;
  /** Of these files, the first byte is wrong in so many responses that have it. */
  flips?: Record<string, number>;
  /** Ends each connection after so many bytes of a body. */
  cutsAfter?: number;
  /** Sends nothing after so many bytes of a body, in so many responses. */
  stalls?: { after: number; times: number };
  /** Sends nothing of a file after so many of its bytes, until this is taken back. */
  holds?: { name: string; after: number };
  /** Bytes per second of all connections together. */
  rate?: number;
  /** Bytes that are written to a connection at a time. */
  block?: number;
  /** Ends connections before it answers. */
  refuses?: boolean;
  /** Answers so many requests with this status. */
  fails?: { status: number; times: number };
}

export interface HostileServer {
  /** Of the folder with the files. */
  readonly url: string;
  /** An empty page, of another origin. */
  readonly blank: string;
  readonly files: Map<string, Buffer>;
  readonly served: Served[];
  wrong: Misbehaviour;
  /** Bytes of bodies that went out, of files whose name begins so. */
  sent(prefix?: string): number;
  /** Bodies of weights that were on their way at the same time, at most. */
  most: number;
  /** Ends all connections in the middle of what they are at. */
  cut(): void;
  /** A file with other contents, of a new version. */
  change(name: string, contents: Buffer): void;
  /** Resolves when so many bytes have gone out. */
  whenSent(bytes: number): Promise<void>;
  close(): Promise<void>;
}

const BLOCK_BYTES = 64 * 1024;
const CUT_MS = 20;

export async function serveHostile(files: Map<string, Buffer>): Promise<HostileServer> {
  const sockets = new Set<Socket>();
  const versions = new Map<string, number>();
  const waiting = new Set<{ bytes: number; resolve: () => void }>();
  /** Addresses of another origin that hold once. */
  const open = new Set<string>();
  let tickets = 0;
  let bodies = 0;
  /** When the next byte may go out, at the rate that is set. */
  let free = 0;

  const versionOf = (name: string) =>
    host.wrong.sumsAsTags ? sha256(files.get(name)!) : `${name}-${versions.get(name) ?? 0}`;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const name = decodeURIComponent(request.url!.split("/").at(-1)!);
    if (name === "blank") return void response.setHeader("content-type", "text/html").end("<!doctype html>");
    response.setHeader("access-control-allow-origin", "*");
    response.setHeader("access-control-expose-headers", "Content-Range, ETag, X-Linked-ETag");
    if (request.method === "OPTIONS") {
      const headers = host.wrong.refusesIfRange ? "range" : "range, if-range, authorization";
      response.setHeader("access-control-allow-headers", headers);
      return void response.end();
    }
    if (host.wrong.redirects && !request.url!.startsWith("/cdn/")) {
      const { port } = request.socket.address() as AddressInfo;
      const ticket = `${++tickets}`;
      open.add(ticket);
      const location = `http://localhost:${port}/cdn/${ticket}/${encodeURIComponent(name)}`;
      return void response.writeHead(302, { location, "x-linked-etag": `"${"0".repeat(64)}"` }).end();
    }
    const { range, "if-range": ifRange } = request.headers;
    const served = {
      name,
      method: request.method!,
      range,
      ifRange: ifRange as string | undefined,
      headers: request.headers,
      sent: 0,
    };
    host.served.push(served);
    if (host.wrong.redirects && !open.delete(request.url!.split("/")[2]!))
      return void response.writeHead(403).end();
    if (host.wrong.refuses) return void response.destroy();
    const { fails } = host.wrong;
    if (fails && fails.times-- > 0) return void response.writeHead(fails.status).end();
    const contents = files.get(name);
    if (!contents) {
      if (host.wrong.hidesMissing) response.removeHeader("access-control-allow-origin");
      return void response.writeHead(404).end();
    }
    const tag = `"${versionOf(name)}"`;
    if (!host.wrong.hidesVersions) response.setHeader("etag", tag);
    const asked = /^bytes=(\d+)-(\d+)$/.exec(range ?? "");
    const isPart = asked && !host.wrong.ignoresRanges && (ifRange === undefined || ifRange === tag);
    const [first, last] = isPart
      ? [Number(asked[1]), Math.min(Number(asked[2]), contents.length - 1)]
      : [0, contents.length - 1];
    if (isPart && first >= contents.length) {
      return void response.writeHead(416, { "content-range": `bytes */${contents.length}` }).end();
    }
    const shift = isPart && first > 0 && (host.wrong.shiftsRanges || host.wrong.liesAboutRanges) ? 1 : 0;
    const said = host.wrong.liesAboutRanges ? 0 : shift;
    const body = Buffer.from(contents.subarray(first - shift, last + 1 - shift));
    const flips = host.wrong.flips ?? {};
    if (first === 0 && (flips[name] ?? 0) > 0 && body.length > 2) {
      flips[name]!--;
      body[0]! ^= 1;
    }
    response.setHeader("content-length", body.length);
    if (isPart && !host.wrong.hidesRanges) {
      response.setHeader("content-range", `bytes ${first - said}-${last - said}/${contents.length}`);
    }
    response.writeHead(isPart ? 206 : 200);
    if (request.method === "HEAD") return void response.end();
    if (name.endsWith(".safetensors")) host.most = Math.max(host.most, ++bodies);
    await send(served, response, first, body);
    if (name.endsWith(".safetensors")) bodies--;
  }

  async function send(served: Served, response: ServerResponse, first: number, body: Buffer): Promise<void> {
    for (let at = 0; at < body.length; ) {
      const { cutsAfter = Number.POSITIVE_INFINITY, stalls, rate, block = BLOCK_BYTES } = host.wrong;
      if (stalls && stalls.times > 0 && at >= stalls.after) {
        stalls.times--;
        return;
      }
      const most = Math.min(at + block, cutsAfter, stalls && stalls.times > 0 ? stalls.after : body.length);
      const end = Math.min(body.length, Math.max(most, at + 1));
      const isHeld = () => host.wrong.holds?.name === served.name && first + at >= host.wrong.holds.after;
      while (isHeld() && !response.destroyed) await new Promise((resolve) => setTimeout(resolve, 5));
      if (rate) {
        free = Math.max(free, performance.now()) + (1000 * (end - at)) / rate;
        const early = free - performance.now();
        if (early > 1) await new Promise((resolve) => setTimeout(resolve, early));
      }
      if (response.destroyed) return;
      // What went out is what the connection has taken.
      await new Promise<void>((resolve) => response.write(body.subarray(at, end), () => resolve()));
      if (response.destroyed) return;
      served.sent += end - at;
      at = end;
      for (const waiter of waiting) {
        if (host.sent() < waiter.bytes) continue;
        waiting.delete(waiter);
        waiter.resolve();
      }
      if (at < cutsAfter || at === body.length) continue;
      // Chromium drops what came in the moment before an error: a connection that breaks on a network leaves it longer.
      await new Promise((resolve) => setTimeout(resolve, CUT_MS));
      return void response.destroy();
    }
    response.end();
  }

  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const host: HostileServer = {
    url: `http://127.0.0.1:${port}/hub/tiny/`,
    blank: `http://localhost:${port}/blank`,
    files,
    served: [],
    wrong: {},
    most: 0,
    sent: (prefix = "") =>
      host.served.reduce((sum, { name, sent }) => sum + (name.startsWith(prefix) ? sent : 0), 0),
    cut() {
      for (const socket of sockets) socket.destroy();
    },
    change(name, contents) {
      files.set(name, contents);
      versions.set(name, (versions.get(name) ?? 0) + 1);
    },
    whenSent: (bytes) =>
      host.sent() >= bytes
        ? Promise.resolve()
        : new Promise((resolve) => waiting.add({ bytes: bytes, resolve })),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        host.cut();
      }),
  };
  return host;
}

export function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Files that a conversion might have written, of shards of random bytes in that many sizes. */
export function convertedFiles(sizes: readonly number[], seed = 1): Map<string, Buffer> {
  const shards = sizes.map((size, i) => [`model-${i + 1}.safetensors`, noise(size, seed + i)] as const);
  const others = [
    ["config.json", Buffer.from('{"model_type": "llama"}')],
    ["tokenizer.model", noise(10_000, seed + 99)],
  ] as const;
  const sums = (files: readonly (readonly [string, Buffer])[]) =>
    files.map(([name, bytes]) => ({ name, size: bytes.length, sha256: sha256(bytes) }));
  const index = {
    metadata: {
      format: "ziya-webgpu",
      weights: "q4",
      shards: sums(shards),
      files: sums(others),
      sources: [],
    },
    weight_map: Object.fromEntries(shards.map(([name], i) => [`tensor.${i}`, name])),
  };
  return new Map([...shards, ...others, [INDEX, Buffer.from(JSON.stringify(index))]]);
}

/** Files that no conversion wrote: nobody has promised their sums. */
export function plainFiles(sizes: readonly number[], seed = 1): Map<string, Buffer> {
  const files = convertedFiles(sizes, seed);
  const { weight_map } = JSON.parse(files.get(INDEX)!.toString());
  return files.set(INDEX, Buffer.from(JSON.stringify({ metadata: { total_size: 1 }, weight_map })));
}

/** Bytes of no pattern, the same for the same seed. */
export function noise(size: number, seed: number): Buffer {
  const words = new Uint32Array(Math.ceil(size / 4));
  let state = seed * 2654435761;
  for (let i = 0; i < words.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    words[i] = state ^ (state >>> 13);
  }
  return Buffer.from(words.buffer, 0, size);
}
