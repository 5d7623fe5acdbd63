import type { Browser } from "playwright-core";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { StoredModel, TransferProgress } from "../../web/api.ts";
import {
  expectBrowser,
  hasBrowser,
  launchBrowser,
  type SourceServer,
  serveSources,
} from "../support/browser.ts";
import { convertedFiles, type HostileServer, serveHostile } from "../support/hostile-server.ts";
import { clearStore, openStoreTab, STORED, type StoreTab } from "../support/store.ts";

expectBrowser();

/** Bytes of a request, here: files of a few pieces take no time. */
const PIECE = 64 * 1024;
const SIZES = [300_000, 200_000];
const INDEX = "model.safetensors.index.json";

/** Downloads, and tells the progress. */
const DOWNLOAD = `
  const store = new tools.ModelStore({ piece: ${PIECE}, stallMs: 300, ...args.options });
  return store.download(args.model ?? args.url, { onProgress: tell });
`;

describe.skipIf(!hasBrowser)("a download", () => {
  let sources: SourceServer;
  let browser: Browser;
  let tab: StoreTab;
  let server: HostileServer;

  beforeAll(async () => {
    sources = await serveSources();
    browser = await launchBrowser();
    tab = await openStoreTab(browser, sources);
    server = await serveHostile(new Map());
  });

  afterAll(async () => {
    await browser?.close();
    await sources?.close();
    await server?.close();
  });

  beforeEach(async () => {
    await clearStore(tab);
    server.files.clear();
    for (const [name, contents] of convertedFiles(SIZES)) server.files.set(name, contents);
    server.served.length = 0;
    server.wrong = {};
  });

  const download = (more: object = {}) => tab.call<StoredModel>(DOWNLOAD, { url: server.url, ...more });
  const total = () => [...server.files.values()].reduce((sum, { length }) => sum + length, 0);
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
});
