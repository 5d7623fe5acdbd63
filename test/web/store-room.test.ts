import type { CDPSession } from "playwright-core";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { expectBrowser, hasBrowser } from "../support/browser.ts";
import { convertedFiles, type HostileServer } from "../support/hostile-server.ts";
import { STORE, STORED, type StoreParts, type StoreTab, serveFiles, useStore } from "../support/store.ts";

expectBrowser();

const SIZES = [300_000, 200_000];
const INDEX = "model.safetensors.index.json";

const ADD = `${STORE} return store.add("disk", args.files.map(fileOf), { onProgress: tell });`;

describe.skipIf(!hasBrowser)("a model store with little room", () => {
  let tab: StoreTab;
  let server: HostileServer;
  let encoded: StoreParts["encoded"];
  let download: StoreParts["download"];

  useStore((parts) => {
    ({ server, tab, encoded, download } = parts);
  });

  beforeEach(() => {
    serveFiles(server, convertedFiles(SIZES));
  });

  /** Its end is that of the quota as well. */
  let cdp: CDPSession;

  beforeAll(async () => {
    cdp = await tab.page.context().newCDPSession(tab.page);
  });

  /** Bytes that the browser gives the origin from now on; without a number what it would. */
  async function giveRoom(bytes?: number): Promise<void> {
    const usage = bytes && (await tab.run<number>("return (await navigator.storage.estimate()).usage;"));
    await cdp.send("Storage.overrideQuotaForOrigin", {
      origin: new URL(server.blank).origin,
      ...(bytes && { quotaSize: usage! + bytes }),
    });
  }

  test("asks for it before, with need, have and what could go", async () => {
    await tab.run(ADD, { files: encoded() });
    server.served.length = 0;
    // As browsers tell it that do not keep the true figure from pages.
    const { failure } = await tab.call(
      `${STORE} navigator.storage.estimate = async () => ({ usage: 900_000, quota: 1_000_000 });
       await store.download(args.url);`,
      { url: server.url },
    );
    expect(failure).toMatchObject({ name: "StorageError", room: { free: 100_000 } });
    expect(failure!.room!.need).toBeGreaterThan(1_500_000);
    expect(failure?.message).toMatch(
      /^tiny needs 1\.5\d MB more, and the browser's storage has 0\.10 MB free\. Delete a model that you can do without: disk \(0\.51 MB\), and begin again: what is there is kept\.$/,
    );
    expect(server.served.map(({ name }) => name)).toEqual([INDEX]);
  });

  test("says so where not even a folder can be made", async () => {
    const { failure } = await tab.call(
      `${STORE} const { getDirectoryHandle } = FileSystemDirectoryHandle.prototype;
       FileSystemDirectoryHandle.prototype.getDirectoryHandle = function (name, options) {
         if (name === "files" && options?.create) throw new DOMException("full", "QuotaExceededError");
         return getDirectoryHandle.call(this, name, options);
       };
       await store.download(args.url);`,
      { url: server.url },
    );
    expect(failure).toMatchObject({ name: "StorageError", room: { free: expect.any(Number) } });
    expect(failure?.room).not.toHaveProperty("need");
    expect(failure?.message).toMatch(/^tiny needs more room, and the browser has no room for it/);
  });

  test("stops when the disk is full all the same, and goes on when it is not", async () => {
    // The browser gives room by the megabyte.
    for (const [name, contents] of convertedFiles([2_000_000, 3_000_000])) server.files.set(name, contents);
    await giveRoom(4_500_000);
    const full = await tab.call(
      `${STORE} navigator.storage.estimate = async () => ({ usage: 0, quota: 1e12 });
       await store.download(args.url);`,
      { url: server.url },
    );
    await giveRoom();
    expect(full.failure).toMatchObject({ name: "StorageError" });
    expect(full.failure?.message).toMatch(
      /^tiny needs \d\.\d+ MB more, and the browser has no room for it, although it counts 1000\.00 GB as free\. Free /,
    );
    expect((await download()).value?.whole).toBe(true);
    expect(await tab.run(STORED, { name: "tiny" })).toEqual(Object.fromEntries(encoded()));
  });
});
