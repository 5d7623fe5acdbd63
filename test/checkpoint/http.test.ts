import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { httpFolder, httpSource } from "../../src/checkpoint/http.ts";
import { CheckpointError, OptionError } from "../../src/errors.ts";

const bytes = Uint8Array.from({ length: 1000 }, (_, i) => i);
const url = "https://example.org/weights/model.bin";

/** Waits between tries pass at once, and the clock says how long they were. */
beforeEach(() => void vi.useFakeTimers({ now: 0, toFake: ["setTimeout", "clearTimeout", "Date"] }));
afterEach(() => void vi.useRealTimers());

/** Lets all waits pass. */
async function passing<T>(work: Promise<T>): Promise<T> {
  work.catch(() => undefined);
  await vi.runAllTimersAsync();
  return work;
}

interface Server {
  status?: number;
  etag?: string | null;
  modified?: string;
  hidden?: boolean;
  contentRange?: (first: number, last: number) => string | null;
  retryAfter?: string;
  body?: (first: number, last: number) => Uint8Array<ArrayBuffer>;
  fail?: boolean;
}

/** `fetch` of a server that does ranges, but for what `faults` changes from one request to the next. */
function serve(faults: (request: number) => Readonly<Server> = () => ({})) {
  const requests: string[] = [];
  const fetch = async (input: unknown, init: RequestInit = {}) => {
    const server = faults(requests.length);
    const range = new Headers(init.headers).get("range");
    requests.push(`${init.method ?? "GET"} ${input} ${range}`);
    if (server.fail) throw new TypeError("fetch failed");
    if (init.method === "HEAD") return new Response(null, { headers: { "content-length": "1000" } });
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range!)!.map(Number) as [number, number, number];
    const status = server.status ?? 206;
    const headers = new Headers();
    const etag = server.etag === undefined ? '"v1"' : server.etag;
    if (etag !== null) headers.set("etag", etag);
    const contentRange = (server.contentRange ?? ((a, b) => `bytes ${a}-${b}/1000`))(first, last);
    if (contentRange !== null) headers.set("content-range", contentRange);
    if (server.retryAfter) headers.set("retry-after", server.retryAfter);
    if (server.modified) headers.set("last-modified", server.modified);
    const body = (server.body ?? ((a, b) => bytes.slice(a, b + 1)))(first, last);
    const response = new Response(body, { status, headers });
    // What a page's fetch says of a response from another origin, whose headers it does not see unless they are exposed.
    if (server.hidden) Object.defineProperty(response, "type", { value: "cors" });
    return response;
  };
  return { fetch: fetch as typeof globalThis.fetch, requests };
}

describe("a server that does ranges", () => {
  test("costs one request to open and one for each read", async () => {
    const { fetch, requests } = serve();
    const source = await httpSource(url, fetch);
    expect(source.size).toBe(1000);
    expect([...(await source.read(260, 3))]).toEqual([4, 5, 6]);
    expect((await source.read(1000, 0)).length).toBe(0);
    expect(requests).toEqual([`GET ${url} bytes=0-1`, `GET ${url} bytes=260-262`]);
    await expect(source.read(999, 2)).rejects.toThrow("Wanted 2 bytes at 999");
  });

  test("that hides Content-Range from the page is asked by HEAD", async () => {
    const { fetch, requests } = serve(() => ({ contentRange: () => null, etag: null, hidden: true }));
    const source = await httpSource(url, fetch);
    expect(source.size).toBe(1000);
    expect([...(await source.read(1, 2))]).toEqual([1, 2]);
    expect(requests[1]).toBe(`HEAD ${url} null`);
  });

  test("may have an empty file", async () => {
    const { fetch } = serve(() => ({ status: 416, contentRange: () => "bytes */0" }));
    expect((await httpSource(url, fetch)).size).toBe(0);
  });
});

describe("a server that ignores Range", () => {
  /** Answers with `count` chunks of a MiB, and notes how many it was asked for. */
  function serveWhole(count: number) {
    const sent = { chunks: 0, requests: 0 };
    const fetch = async () => {
      sent.requests++;
      const body = new ReadableStream({
        pull(controller) {
          if (sent.chunks === count) return controller.close();
          controller.enqueue(new Uint8Array(1 << 20).fill(sent.chunks++));
        },
      });
      return new Response(body);
    };
    return { fetch: fetch as typeof globalThis.fetch, sent };
  }

  test("has its file kept in memory, and is asked once", async () => {
    const { fetch, sent } = serveWhole(3);
    const source = await httpSource(url, fetch);
    expect([source.name, source.size]).toEqual([url, 3 << 20]);
    expect([...(await source.read((2 << 20) - 1, 2))]).toEqual([1, 2]);
    await expect(source.read(3 << 20, 1)).rejects.toThrow("Wanted 1 bytes");
    expect(sent.requests).toBe(1);
  });

  test("is refused with a file above 64 MiB, and not read to its end", async () => {
    expect((await httpSource(url, serveWhole(64).fetch)).size).toBe(64 << 20);
    const { fetch, sent } = serveWhole(1000);
    await expect(httpSource(url, fetch)).rejects.toThrow(
      /answered with the whole file: use a server that does HTTP Range \(python3 -m http.server does not\)\.$/,
    );
    expect(sent.chunks).toBeLessThan(70);
  });
});

describe("a folder", () => {
  test("opens names under its URL, and undefined for 404", async () => {
    const { fetch, requests } = serve((request) => (request === 1 ? { status: 404 } : {}));
    const open = httpFolder("https://example.org/a?token=1", fetch);
    expect((await open("模型.bin"))?.size).toBe(1000);
    expect(await open("absent")).toBeUndefined();
    expect(requests[0]).toBe("GET https://example.org/a/%E6%A8%A1%E5%9E%8B.bin?token=1 bytes=0-1");
    await expect(open("../secret")).rejects.toThrow("plain name");
  });
});

describe("refuses at opening", () => {
  test.each<[string, Server, string]>([
    ["an error", { status: 503 }, "answered 503"],
    ["a missing resource", { status: 404 }, "does not exist (404)"],
    ["a range that cannot be", { status: 416 }, "answered 416"],
    ["a broken Content-Range", { contentRange: () => "bytes 0-0/*" }, 'sent the Content-Range "bytes 0-0/*"'],
    ["no connection", { fail: true }, "could not be fetched: fetch failed"],
    ["a 206 of unknown bytes", { contentRange: () => null }, "answered 206 without a Content-Range"],
    ["a resource for others", { status: 403 }, "may not be read (403 Forbidden)"],
    ["one that is gone", { status: 410 }, "does not exist (410)"],
  ])("%s", async (_, fault, message) => {
    const { fetch, requests } = serve(() => fault);
    await expect(passing(httpSource(url, fetch))).rejects.toThrow(message);
    expect(requests.length).toBe(fault.status === 503 ? 4 : 1);
  });

  test("a connection that is lost before the size is known", async () => {
    const { fetch } = serve((request) =>
      request ? { fail: true } : { contentRange: () => null, hidden: true },
    );
    const opening = httpSource(url, fetch);
    await expect(opening).rejects.toThrow(CheckpointError);
    await expect(opening).rejects.toThrow("could not be fetched: fetch failed");
  });
});

test("a URL that is relative is refused, with what to write in its place", async () => {
  const message =
    '"models/ziya" is no absolute URL; wanted one such as "https://example.org/ziya/". In a page: new URL("models/ziya", document.baseURI).';
  expect(() => httpFolder("models/ziya")).toThrow(new OptionError(message));
  await expect(httpSource("models/ziya")).rejects.toThrow(new OptionError(message));
});

describe("refuses at reading", () => {
  test.each<[string, Server, string]>([
    [
      "another ETag",
      { etag: '"v2"' },
      'changed while it was read (size 1000, now 1000; ETag "v1", now ETag "v2")',
    ],
    ["another size", { contentRange: (a, b) => `bytes ${a}-${b}/999` }, "size 1000, now 999"],
    ["the whole file", { status: 200 }, "answered with the whole file"],
    ["no ETag any more", { etag: null, modified: "now" }, 'ETag "v1", now Last-Modified now'],
    [
      "another place",
      { contentRange: () => "bytes 0-9/1000" },
      "asked for bytes 500 to 509 and answered with 0 to 9",
    ],
    [
      "another end",
      { contentRange: () => "bytes 500-999/1000" },
      "asked for bytes 500 to 509 and answered with 500 to 999",
    ],
    ["a place that it does not tell", { contentRange: () => null }, "answered 206 without a Content-Range"],
    ["too few bytes", { body: () => new Uint8Array(9) }, "sent 9 bytes instead of the 10"],
    ["too many bytes", { body: () => new Uint8Array(11) }, "sent more than the 10 bytes"],
    ["no connection", { fail: true }, "could not be fetched"],
  ])("%s", async (_, fault, message) => {
    const { fetch, requests } = serve((request) => (request ? fault : {}));
    const source = await httpSource(url, fetch);
    const reading = passing(source.read(500, 10));
    await expect(reading).rejects.toThrow(message);
    await expect(reading).rejects.toThrow(CheckpointError);
    // What is wrong about bytes is wrong about them however often they are asked for.
    expect(requests.length - 1).toBe(fault.fail ? 4 : 1);
  });

  test("another Last-Modified, where there is no ETag to go by", async () => {
    const open = (etag: string | null) =>
      httpSource(url, serve((request) => ({ etag, modified: request ? "Tuesday" : "Monday" })).fetch);
    await expect((await open(null)).read(500, 10)).rejects.toThrow(
      "now 1000; Last-Modified Monday, now Last-Modified Tuesday): load the model again",
    );
    // Behind one address there may be several machines, which got the same file one after the other.
    expect((await (await open('"v1"')).read(500, 10)).length).toBe(10);
  });

  test("more than fits in memory, before it is asked for", async () => {
    const { fetch, requests } = serve(() => ({ contentRange: () => `bytes 0-0/${2 ** 49}` }));
    const source = await httpSource(url, fetch);
    const reading = source.read(0, 2 ** 48);
    await expect(reading).rejects.toThrow(CheckpointError);
    await expect(reading).rejects.toThrow(`${2 ** 48} bytes of ${url} were wanted at once`);
    expect(requests.length).toBe(1);
  });

  test("a connection that breaks", async () => {
    const broken = () =>
      new Response(
        new ReadableStream({
          start(controller) {
            controller.enqueue(new Uint8Array(4));
          },
          pull(controller) {
            controller.error(new Error("reset"));
          },
        }),
        { status: 206, headers: { etag: '"v1"', "content-range": "bytes 500-509/1000" } },
      );
    const { fetch } = serve();
    const source = await httpSource(url, async (input, init) => {
      const range = new Headers(init?.headers).get("range");
      return range === "bytes=0-1" ? fetch(input, init) : broken();
    });
    await expect(passing(source.read(500, 10))).rejects.toThrow(
      "broke after 4 of 10 bytes: load the model again. It was tried 4 times.",
    );
  });
});

describe("a read that may succeed later is tried again", () => {
  const reason = new Error("enough");

  /** Reads where the tries after the opening meet `faults` and then none; says when each was made, in milliseconds. */
  async function readThrough(...faults: Server[]) {
    const times: number[] = [];
    const { fetch } = serve((request) => {
      if (request > 0) times.push(Date.now());
      return faults[request - 1] ?? {};
    });
    const source = await httpSource(url, fetch);
    const result = await passing(source.read(500, 10)).catch((error: unknown) => error);
    return { result, times };
  }

  test.each<[string, Server]>([
    ["no connection", { fail: true }],
    ...[408, 429, 500, 502, 503, 504].map((status): [string, Server] => [`${status}`, { status }]),
  ])("after %s", async (_, fault) => {
    const { result, times } = await readThrough(fault, fault, fault);
    expect(result).toEqual(bytes.slice(500, 510));
    expect(times).toEqual([0, 250, 1250, 5250]);
  });

  test("and no more than three times", async () => {
    const { result, times } = await readThrough(...Array(4).fill({ status: 503 }));
    expect(result).toBeInstanceOf(CheckpointError);
    expect(String(result)).toMatch(
      /^CheckpointError: .* answered 503 .*wanted 206\. Try again later\. It was tried 4 times\.$/,
    );
    expect(times.length).toBe(4);
  });

  test.each([
    ["seconds", "3", 3000],
    ["a date", new Date(7000).toUTCString(), 7000],
    ["less than we wait anyway", "0", 250],
    ["a date that is past", new Date(-7000).toUTCString(), 250],
    ["nonsense", "soon", 250],
    ["the longest time", "30", 30_000],
  ])("when the server says, as %s", async (_, retryAfter, wait) => {
    const { result, times } = await readThrough({ status: 429, retryAfter });
    expect(result).toEqual(bytes.slice(500, 510));
    expect(times).toEqual([0, wait]);
  });

  test.each([
    ["31", "31"],
    [new Date(3_600_000).toUTCString(), "3600"],
  ])("but not by %s, which is too long to wait for", async (retryAfter, seconds) => {
    const { result, times } = await readThrough({ status: 429, retryAfter });
    expect(String(result)).toMatch(new RegExp(`answered 429 .* Try again in ${seconds} s, as it says\\.$`));
    expect(times).toEqual([0]);
  });

  test("until the signal is aborted, which ends a wait at once", async () => {
    const stop = new AbortController();
    const { fetch, requests } = serve((request) => (request ? { fail: true } : {}));
    const reading = (await httpSource(url, fetch)).read(500, 10, stop.signal);
    reading.catch(() => undefined);
    await vi.advanceTimersByTimeAsync(100);
    stop.abort(reason);
    await expect(reading).rejects.toBe(reason);
    expect([requests.length, vi.getTimerCount()]).toEqual([2, 0]);
  });

  test("also when a file is opened, of a folder whose server has answered before", async () => {
    const { fetch, requests } = serve((request) => (request % 2 ? {} : { fail: true }));
    const open = httpFolder("https://example.org/a", fetch);
    await expect(open("a")).rejects.toThrow("could not be fetched");
    expect((await open("a"))!.size).toBe(1000);
    expect((await passing(open("b")))!.size).toBe(1000);
    expect(requests.length).toBe(4);
  });
});
