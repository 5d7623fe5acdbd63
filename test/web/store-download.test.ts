import type { BrowserContext } from "playwright-core";
import { beforeEach, describe, expect, test } from "vitest";
import { TEXT_FILES } from "../../src/checkpoint/source.ts";
import type { StoredModel, TransferProgress } from "../../web/api.ts";
import { expectBrowser, hasBrowser } from "../support/browser.ts";
import { convertedFiles, type HostileServer, noise, plainFiles } from "../support/hostile-server.ts";
import {
  openStoreTab,
  STORED,
  type StoreParts,
  type StoreTab,
  serveFiles,
  useStore,
} from "../support/store.ts";

expectBrowser();

/** Bytes of a request, here: files of a few pieces take no time. */
const PIECE = 64 * 1024;
const SIZES = [300_000, 200_000];
const INDEX = "model.safetensors.index.json";

const SHARD = "model-1.safetensors";
/** Bytes by which a file's size is asked for. */
const PROBE = 2;
/**
 * Bytes that may come twice where a worker ends at 1 MB/s: what is sent meanwhile, 70,000 where the machine is busy. Of what
 * was there, 200,000 and more, nothing.
 */
const TWICE = 150_000;

/** Of some fifteen connections, so many may break before Chromium hands on what came last, on a busy machine. */
const CUTS_DROPPED = 4;

const LIST = "return new tools.ModelStore().list();";
/** Downloads, and tells the progress. */
const DOWNLOAD = `
  if (args.memory) Object.defineProperty(navigator, "deviceMemory", { value: args.memory });
  const store = new tools.ModelStore({ piece: ${PIECE}, stallMs: 300, ...args.options });
  return store.download(args.model ?? args.url, { onProgress: tell });
`;

describe.skipIf(!hasBrowser)("a download", () => {
  let browser: BrowserContext;
  let tab: StoreTab;
  let server: HostileServer;
  let total: StoreParts["total"];

  useStore((parts) => {
    ({ browser, server, tab, total } = parts);
  });

  beforeEach(() => {
    serveFiles(server, convertedFiles(SIZES));
  });

  const download = (more: object = {}) => tab.call<StoredModel>(DOWNLOAD, { url: server.url, ...more });
  const requestsOf = (name: string) => server.served.filter((served) => served.name === name);

  /** Every file, as it is read back from the store, is what the server has. */
  async function expectWhole(): Promise<void> {
    const stored = await tab.run<Record<string, string>>(STORED, { name: "tiny" });
    const wanted = [...server.files].map(([name, bytes]) => [name, bytes.toString("base64")]);
    expect(stored).toEqual(Object.fromEntries(wanted));
  }

  test("brings every byte once, and small files by one request each", async () => {
    const { value, failure, told } = await download();
    expect(failure).toBeUndefined();
    expect(value).toMatchObject({
      name: "tiny",
      whole: true,
      url: server.url,
      weights: "q4",
      done: total(),
      total: total(),
    });
    await expectWhole();
    expect(server.sent()).toBe(total());
    for (const name of [INDEX, "config.json", "tokenizer.model"]) expect(requestsOf(name)).toHaveLength(1);
    const last = told.at(-1) as TransferProgress;
    expect(last).toMatchObject({ phase: "download", done: total(), total: total() });
  });

  test("makes no request at all for a model that is whole", async () => {
    await download();
    server.served.length = 0;
    expect((await download()).value?.whole).toBe(true);
    expect(server.served).toEqual([]);
  });

  test("goes on inside a shard where the connection broke", async () => {
    server.wrong = { cutsAfter: 30_000 };
    expect((await download()).failure).toBeUndefined();
    await expectWhole();
    expect(server.sent() - total()).toBeLessThanOrEqual(CUTS_DROPPED * 30_000);
    const again = requestsOf(SHARD).filter(({ ifRange }) => ifRange !== undefined);
    expect(again.length).toBeGreaterThan(SIZES[0]! / 30_000 - 1);
    expect(new Set(again.map(({ ifRange }) => ifRange))).toEqual(new Set([`"${SHARD}-0"`]));
  });

  test("goes on where it was when it is begun again, in another worker", async () => {
    server.wrong = { rate: 1_000_000, block: 4096 };
    const first = download();
    await server.whenSent(250_000);
    await tab.end();
    expect((await first).ended).toBe(true);
    const [partial] = await tab.begin().then(() => tab.run<StoredModel[]>(LIST));
    expect(partial).toMatchObject({ name: "tiny", whole: false, total: total() });
    expect(partial!.done).toBeGreaterThan(200_000);
    server.wrong = {};
    const { told } = await download();
    await expectWhole();
    expect((told[0] as TransferProgress).done).toBeGreaterThanOrEqual(partial!.done);
    expect(server.sent() - total()).toBeLessThan(TWICE);
  });

  test("begins a file again of which nobody tells sum or version", async () => {
    server.files.clear();
    for (const [name, contents] of plainFiles(SIZES)) server.files.set(name, contents);
    server.wrong = { hidesVersions: true, holds: { name: SHARD, after: 150_000 } };
    const first = download({ options: { stallMs: 20_000 } });
    await server.whenSent(150_000);
    await tab.end();
    expect((await first).ended).toBe(true);
    await tab.begin();
    server.change(SHARD, noise(SIZES[0]!, 7));
    server.wrong = { hidesVersions: true };
    expect((await download()).failure).toBeUndefined();
    await expectWhole();
  });

  test("is stopped by its signal, and keeps what is there", async () => {
    server.wrong = { rate: 1_000_000, block: 4096 };
    const stopped = tab.call(
      `const stop = new AbortController();
       const store = new tools.ModelStore({ piece: ${PIECE} });
       const onProgress = ({ done }) => done > 200_000 && stop.abort(new Error("enough"));
       await store.download(args.url, { signal: stop.signal, onProgress });`,
      { url: server.url },
    );
    expect((await stopped).failure?.message).toBe("enough");
    const [partial] = await tab.run<StoredModel[]>(LIST);
    expect(partial!.done).toBeGreaterThan(200_000);
    server.wrong = {};
    expect((await download()).failure).toBeUndefined();
    await expectWhole();
    expect(server.sent() - total()).toBeLessThan(TWICE);
  });

  test("asks again where the server is busy", async () => {
    server.wrong = { fails: { status: 503, times: 1 } };
    expect((await download()).failure).toBeUndefined();
    await expectWhole();
  });

  test("waits for the network where the browser knows that there is none", async () => {
    server.wrong = { holds: { name: SHARD, after: 1000 } };
    const waiting = tab.call<StoredModel>(
      `let online = true;
       Object.defineProperty(navigator, "onLine", { get: () => online });
       globalThis.lose = () => { online = false; };
       globalThis.find = () => { online = true; dispatchEvent(new Event("online")); };
       const listen = addEventListener;
       globalThis.lost = new Promise((resolve) => {
         globalThis.addEventListener = (type, ...more) => { listen(type, ...more); if (type === "online") resolve(); };
       });
       // No waiting but for the network: all tries would be over at once.
       const wait = setTimeout;
       globalThis.setTimeout = (call, ms) => wait(call, ms > 4000 ? ms : 0);
       return new tools.ModelStore({ piece: ${PIECE}, connections: 1 }).download(args.url);`,
      { url: server.url },
    );
    await server.whenSent(15_000);
    await tab.run("lose();");
    server.wrong = { refuses: true };
    server.cut();
    await tab.run("await lost;");
    const tried = server.served.length;
    server.wrong = {};
    await tab.run("find();");
    expect((await waiting).value?.whole).toBe(true);
    expect(tried).toBeLessThan(7);
    await expectWhole();
  });

  test("asks again where the server sends nothing any more", async () => {
    server.wrong = { stalls: { after: 20_000, times: 2 } };
    expect((await download()).failure).toBeUndefined();
    await expectWhole();
    expect(server.sent()).toBe(total());
  });

  test("waits for a server that drips for longer than one that sends nothing", async () => {
    server.wrong = { rate: 1_000_000, block: 4096 };
    expect((await download({ options: { piece: 2 ** 20 } })).failure).toBeUndefined();
    await expectWhole();
    expect(server.served).toHaveLength(5);
    // Both shards at once.
    expect(server.most).toBe(2);
  });

  test.each([
    ["answers with the whole file", { ignoresRanges: true }],
    ["answers with another range, and says so", { shiftsRanges: true }],
    ["answers with other bytes than it says", { liesAboutRanges: true }],
    ["does not let the page see which bytes those are", { hidesRanges: true }],
    ["tells no versions", { hidesVersions: true }],
    ["does not allow If-Range to other origins", { refusesIfRange: true, cutsAfter: 40_000 }],
  ] as const)("comes right from a server that %s", async (_, wrong) => {
    server.wrong = { ...wrong };
    expect((await download()).failure).toBeUndefined();
    await expectWhole();
  });

  test("begins a file again, and it alone, that changes on the server", async () => {
    server.files.clear();
    for (const [name, contents] of plainFiles(SIZES)) server.files.set(name, contents);
    server.wrong = { rate: 1_000_000, block: 4096 };
    const running = download();
    await server.whenSent(150_000);
    server.change(SHARD, noise(250_000, 7));
    expect((await running).failure).toBeUndefined();
    await expectWhole();
    expect(server.sent("model-2")).toBe(SIZES[1]! + PROBE);
    const asked = requestsOf(SHARD).filter(({ range }) => range === `bytes=0-${PIECE - 1}`);
    expect(asked).toHaveLength(2);
  });

  test.each([
    ["at once", 8],
    ["by parts", 4],
  ])("fetches a shard with a wrong byte again, and it alone, hashed %s", async (_, memory) => {
    server.wrong = { flips: { [SHARD]: 1 } };
    expect((await download({ memory })).failure).toBeUndefined();
    await expectWhole();
    expect(server.sent("model-1")).toBe(2 * SIZES[0]!);
    expect(server.sent("model-2")).toBe(SIZES[1]!);
  });

  test("names a shard that is wrong three times, and fetches it alone when it is right again", async () => {
    server.wrong = { flips: { [SHARD]: 3 } };
    const { failure } = await download({ options: { connections: 1 } });
    expect(failure).toMatchObject({ name: "CheckpointError" });
    expect(failure?.message).toContain(`${server.url}${SHARD} has the SHA-256 `);
    expect(failure?.message).toContain("it was fetched 3 times");
    expect(server.sent("model-1")).toBe(3 * SIZES[0]!);
    expect((await tab.call(`await new tools.ModelStore().open("tiny");`)).failure?.message).toMatch(
      /^tiny is not whole: 0\.01 MB of 0\.51 MB are there/,
    );
    expect((await download()).failure).toBeUndefined();
    await expectWhole();
    expect(server.sent("model-1")).toBe(4 * SIZES[0]!);
  });

  test("refuses small files that are not what the index promises", async () => {
    server.wrong = { flips: { "tokenizer.model": 9 } };
    const { failure } = await download();
    expect(failure?.message).toContain(`${server.url}tokenizer.model has the SHA-256 `);
    expect(requestsOf("tokenizer.model")).toHaveLength(3);
  });

  test("holds a hub's files to the SHA-256 that their ETags are", async () => {
    server.files.clear();
    for (const [name, contents] of plainFiles(SIZES)) server.files.set(name, contents);
    server.wrong = { sumsAsTags: true, flips: { [SHARD]: 1 } };
    const { value, failure } = await download();
    expect(failure).toBeUndefined();
    expect(value).toMatchObject({ whole: true, total: total() });
    await expectWhole();
    expect(server.sent("model-1")).toBe(2 * SIZES[0]! + PROBE);
  });

  test("follows a hub to where its files lie, each time by an address of its own", async () => {
    serveFiles(server, plainFiles(SIZES));
    server.wrong = { redirects: true, sumsAsTags: true, cutsAfter: 60_000, flips: { [SHARD]: 1 } };
    const url = server.url.replace("/hub/tiny/", "/IDEA/tiny/resolve/main");
    const { value, failure } = await download({ model: { url, headers: { authorization: "Bearer x" } } });
    expect(failure).toBeUndefined();
    expect(value).toMatchObject({ name: "tiny", whole: true, url: `${url}/` });
    await expectWhole();
    // Inside its files as well; and what proves who asks stays with the hub.
    expect(requestsOf(SHARD).filter(({ ifRange }) => ifRange !== undefined).length).toBeGreaterThan(2);
    expect(new Set(server.served.map(({ headers }) => headers.authorization))).toEqual(new Set([undefined]));
    expect(new Set(server.served.map(({ headers }) => headers.host!.split(":")[0]))).toEqual(
      new Set(["localhost"]),
    );
    expect(server.sent("model-1")).toBeGreaterThan(2 * SIZES[0]! - 60_000);
  });

  test("sends the headers it is given, and takes a hub's address for its model's name", async () => {
    const url = server.url.replace("/hub/tiny/", "/IDEA/small/resolve/main");
    const { value } = await download({ model: { url, headers: { authorization: "Bearer x" } } });
    expect(value?.name).toBe("small");
    expect(new Set(server.served.map(({ headers }) => headers.authorization))).toEqual(new Set(["Bearer x"]));
  });

  test("says what a folder lacks", async () => {
    server.files.delete(INDEX);
    expect((await download()).failure?.message).toBe(
      `${server.url} has no weights: wanted one of model.safetensors.index.json, model.safetensors, ` +
        `pytorch_model.bin.index.json, pytorch_model.bin.`,
    );
    expect(await tab.run<StoredModel[]>(LIST)).toMatchObject([{ name: "tiny", whole: false }]);
  });

  test("takes for missing what the server lets nobody see, and says so", async () => {
    const header = Buffer.from(JSON.stringify({ __metadata__: {} }));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    server.files.delete(INDEX);
    for (const shard of [1, 2]) server.files.delete(`model-${shard}.safetensors`);
    server.files.set("model.safetensors", Buffer.concat([length, header]));
    server.wrong = { hidesMissing: true };
    const { value, failure } = await download();
    expect(failure).toBeUndefined();
    expect(value?.whole).toBe(true);
    await expectWhole();
    expect(new Set(value?.withheld)).toEqual(
      new Set([INDEX, ...TEXT_FILES].filter((name) => !server.files.has(name))),
    );
    expect(requestsOf(INDEX)).toHaveLength(2);
    expect((await tab.run<StoredModel[]>(LIST))[0]?.withheld).toEqual(value?.withheld);
  });

  test("is one for two tabs: the second sees how far it is, and finds it there", async () => {
    server.wrong = { rate: 1_000_000, block: 4096 };
    const other = await openStoreTab(browser, server.blank);
    const first = download();
    await server.whenSent(100_000);
    const second = other.call<StoredModel>(DOWNLOAD, { url: server.url });
    expect((await first).failure).toBeUndefined();
    const { value, told } = await second;
    expect(value?.whole).toBe(true);
    expect(told.length).toBeGreaterThan(0);
    expect(server.sent()).toBe(total());
    await other.page.close();
  });

  test("goes on in the second tab when the first is closed", async () => {
    server.wrong = { rate: 1_000_000, block: 4096 };
    const other = await openStoreTab(browser, server.blank);
    void other.call(DOWNLOAD, { url: server.url }).catch(() => {});
    await server.whenSent(250_000);
    const second = download();
    await other.page.close();
    expect((await second).value?.whole).toBe(true);
    await expectWhole();
    expect(server.sent() - total()).toBeLessThan(TWICE);
  });
});
