import { createServer, type RequestListener, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { httpFolder, httpSource } from "../../src/checkpoint/http.ts";
import { refusePointers } from "../../src/checkpoint/source.ts";
import { CheckpointError } from "../../src/errors.ts";
import { loadEngine, loadText } from "../../src/generate/load-engine.ts";
import { fixtureModel } from "../tokenizer/fixtures.ts";

const PAGE = "<!doctype html><title>An application</title>";
const files = new Map<string, Uint8Array>([
  ["config.json", new TextEncoder().encode('{"model_type":"llama"}')],
  ["tokenizer.model", fixtureModel("plain")],
  ["one.bin", Uint8Array.of(7)],
  ["none.bin", new Uint8Array(0)],
]);

const closing: (() => void)[] = [];
afterEach(() => {
  for (const close of closing.splice(0)) close();
});

/** The address of a server that ends with the test. */
async function listen(answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/model`;
}

/** What a server that has `files` does about the others; `lenient` reads the last byte of a range as sirv does. */
async function serve(absent: (response: ServerResponse) => void, lenient = false): Promise<string> {
  return listen((request, response) => {
    const bytes = files.get(request.url!.split("/").at(-1)!);
    if (!bytes) return absent(response);
    const [first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range!)!.slice(1).map(Number) as [
      number,
      number,
    ];
    const whole = bytes.length - 1;
    const end = Math.min(whole, lenient && last === 0 ? whole : last);
    if (first > whole) return response.writeHead(416, { "content-range": `bytes */${bytes.length}` }).end();
    response
      .writeHead(206, {
        "content-type": "application/octet-stream",
        "content-range": `bytes ${first}-${end}/${bytes.length}`,
      })
      .end(bytes.subarray(first, end + 1));
  });
}

const page = (status: number, type: string) => (response: ServerResponse) => {
  const range = status === 206 ? { "content-range": `bytes 0-1/${PAGE.length}` } : {};
  response
    .writeHead(status, { "content-type": type, ...range })
    .end(status === 206 ? PAGE.slice(0, 2) : PAGE);
};

describe("a file that the server lacks is not there", () => {
  test.each([
    ["404", page(404, "text/html")],
    ["410", page(410, "text/plain")],
    ["a page, as Vite's dev server and preview answer", page(200, "text/html")],
    ["a page by range, as serve -s answers", page(206, "text/html; charset=utf-8")],
    ["a page of XHTML", page(200, "Application/XHTML+XML")],
    ["403, as S3 answers behind a CDN", page(403, "application/xml")],
  ])("by %s", async (_, absent) => {
    const open = httpFolder(await serve(absent));
    // The first name that a load asks for is one that hardly any folder has.
    expect(await open("chat_template.jinja")).toBeUndefined();
    for (const [name, bytes] of files) {
      const file = await open(name);
      expect(file?.size).toBe(bytes.length);
      expect(await file!.read(0, bytes.length)).toEqual(bytes);
    }
    expect(await open("generation_config.json")).toBeUndefined();
    const { chatTemplate, generation } = await loadText(refusePointers(open));
    expect(chatTemplate).toBeUndefined();
    expect(generation.eosIds).toBeUndefined();
  });

  test("but a page in the place of one file is told as such where nothing goes without it", async () => {
    const address = `${await serve(page(200, "text/html"))}/model.safetensors`;
    await expect(httpSource(address)).rejects.toThrow(
      `${address} does not exist (200 with a page, text/html): check the address.`,
    );
  });
});

describe("a server that gives nothing", () => {
  const refuse = (response: ServerResponse) => void response.writeHead(403).end();

  test("is not taken for an empty folder", async () => {
    const address = await listen((_, response) => refuse(response));
    const open = httpFolder(address);
    for (const name of ["chat_template.jinja", "config.json"]) {
      await expect(open(name)).rejects.toThrow(CheckpointError);
      await expect(open(name)).rejects.toThrow(`${address}/${name} may not be read (403 Forbidden)`);
    }
  });

  test("is asked again when it failed for once", async () => {
    let broken = true;
    const address = await listen((request, response) => {
      if (request.url!.endsWith("config.json") && !broken) response.end("{}");
      else refuse(response);
    });
    const open = httpFolder(address);
    await expect(open("chat_template.jinja")).rejects.toThrow("403");
    broken = false;
    expect(await open("chat_template.jinja")).toBeUndefined();
  });
});

test("a server that takes bytes=0-0 for the whole file is never asked so", async () => {
  const address = await serve(page(404, "text/html"), true);
  const open = httpFolder(address);
  for (const [name, bytes] of files) {
    const file = (await open(name))!;
    expect(file.size).toBe(bytes.length);
    for (const count of [1, 2]) {
      if (count <= bytes.length) expect(await file.read(0, count)).toEqual(bytes.slice(0, count));
    }
  }
});

describe("a load that is stopped ends at once", () => {
  const host = { gpu: {} as GPU, readShader: async () => "" };
  const reason = new Error("enough");
  /** Longer than any of these takes, and far shorter than the five minutes after which fetch gives up by itself. */
  const PROMPT_MS = 2000;

  test.each([
    ["that says nothing", () => {}],
    ["that says no more than the header", (response: ServerResponse) => response.flushHeaders()],
    [
      "that drips",
      (response: ServerResponse) => {
        const drip = setInterval(() => response.write(" "), 5);
        response.on("close", () => clearInterval(drip));
      },
    ],
  ])("on a server %s", async (_, answer) => {
    let closed = false;
    let asked = false;
    const address = await listen((_, response) => {
      response.on("close", () => {
        closed = true;
      });
      answer(response);
      asked = true;
    });
    const stop = new AbortController();
    const loading = loadEngine(host, httpFolder(address), { signal: stop.signal });
    loading.catch(() => {});
    await expect.poll(() => asked).toBe(true);
    // Into the body, where there is one.
    await new Promise((resolve) => setTimeout(resolve, 30));
    const start = performance.now();
    stop.abort(reason);
    await expect(loading).rejects.toBe(reason);
    expect(performance.now() - start).toBeLessThan(PROMPT_MS);
    await expect.poll(() => closed).toBe(true);
  });

  test("with files that know no signal, and in a read", async () => {
    const stop = new AbortController();
    const opening = loadEngine(host, () => new Promise(() => {}), { signal: stop.signal });
    setTimeout(() => stop.abort(reason));
    await expect(opening).rejects.toBe(reason);

    const again = new AbortController();
    const stuck = {
      name: "tokenizer.model",
      size: 5000,
      read: () => new Promise<Uint8Array>(() => setTimeout(() => again.abort(reason))),
    };
    const reading = loadEngine(host, async (name) => (name === stuck.name ? stuck : undefined), {
      signal: again.signal,
    });
    await expect(reading).rejects.toBe(reason);
  });
});

test("a file of HTTP says why it ends when its own signal is aborted", async () => {
  const address = await listen((request, response) => {
    if (request.headers.range === "bytes=0-1") {
      response.writeHead(206, { "content-range": "bytes 0-1/100" }).end("ab");
    } else response.writeHead(206, { "content-range": "bytes 5-14/100" }).write("x");
  });
  const source = await httpSource(address);
  const stop = new AbortController();
  const reason = new Error("enough");
  setTimeout(() => stop.abort(reason), 30);
  await expect(source.read(5, 10, stop.signal)).rejects.toBe(reason);
});

test("a server that is busy, drips and breaks off is asked until it gives the bytes", async () => {
  const whole = Uint8Array.from({ length: 1000 }, (_, i) => i);
  let reads = 0;
  const address = await listen((request, response) => {
    const [first, last] = /(\d+)-(\d+)/.exec(request.headers.range!)!.slice(1).map(Number) as [
      number,
      number,
    ];
    if (last > 1 && ++reads === 1) return response.writeHead(503, { "retry-after": "0" }).end("busy");
    const length = { "content-length": last - first + 1 };
    response.writeHead(206, { ...length, "content-range": `bytes ${first}-${last}/1000` });
    if (reads !== 2) return response.end(whole.subarray(first, last + 1));
    let sent = first;
    const drip = setInterval(() => {
      if (sent - first < 5) return response.write(whole.subarray(sent, ++sent));
      clearInterval(drip);
      return response.destroy();
    }, 2);
  });
  const source = await httpSource(address);
  expect(await source.read(100, 900)).toEqual(whole.subarray(100));
  expect(reads).toBe(3);
});
