import type { BrowserContext } from "playwright-core";
import { beforeEach, describe, expect, test } from "vitest";
import type { StoredModel, TransferProgress } from "../../web/api.ts";
import { expectBrowser, hasBrowser } from "../support/browser.ts";
import { convertedFiles, type HostileServer, sha256 } from "../support/hostile-server.ts";
import {
  openStoreTab,
  STORE,
  STORED,
  type StoreParts,
  type StoreTab,
  serveFiles,
  useStore,
} from "../support/store.ts";

expectBrowser();

const SIZES = [300_000, 200_000];
const SHARD = "model-1.safetensors";
const INDEX = "model.safetensors.index.json";

const LIST = `${STORE} return store.list();`;
const ADD = `${STORE} return store.add("disk", args.files.map(fileOf), { onProgress: tell });`;

describe.skipIf(!hasBrowser)("the model store", () => {
  let browser: BrowserContext;
  let tab: StoreTab;
  let server: HostileServer;
  let total: StoreParts["total"];
  let encoded: StoreParts["encoded"];
  let download: StoreParts["download"];

  useStore((parts) => {
    ({ browser, server, tab, total, encoded, download } = parts);
  });

  beforeEach(() => {
    serveFiles(server, convertedFiles(SIZES));
  });

  describe("a checkpoint from the disk", () => {
    test("is whole when it was copied, with its files and no others", async () => {
      const { value, told } = await tab.call<StoredModel>(ADD, { files: [...encoded(), ["notes.txt", ""]] });
      expect(value).toMatchObject({
        name: "disk",
        whole: true,
        weights: "q4",
        done: total(),
        total: total(),
      });
      expect(await tab.run(STORED, { name: "disk" })).toEqual(Object.fromEntries(encoded()));
      expect(told.at(-1)).toMatchObject({ phase: "copy", done: total(), total: total() });
      expect(await tab.run(`${STORE} return (await store.open("disk"))("notes.txt");`)).toBeUndefined();
    });

    test("is refused where a file is damaged; what was right stays", async () => {
      const files = encoded().map(
        ([name, text]) => [name, name === SHARD ? `A${text.slice(1)}` : text] as const,
      );
      const { failure } = await tab.call(ADD, { files });
      expect(failure?.message).toMatch(
        /^model-1\.safetensors has the SHA-256 \w+; model\.safetensors\.index\.json says \w+: it is damaged/,
      );
      expect(await tab.run(LIST)).toMatchObject([{ name: "disk", whole: false }]);
      const { value } = await tab.call<StoredModel>(ADD, { files: encoded() });
      expect(value?.whole).toBe(true);
    });

    test("is copied from a folder's handle as well", async () => {
      const copied = await tab.run<StoredModel>(
        `${STORE}
         const root = await navigator.storage.getDirectory();
         const directory = await root.getDirectoryHandle("elsewhere", { create: true });
         const folder = await tools.openFolder(directory);
         for (const entry of args.files) await folder.replace(entry[0], await contentsOf(fileOf(entry)));
         return store.add("disk", directory);`,
        { files: encoded() },
      );
      expect(copied.whole).toBe(true);
    });
  });

  describe("a conversion", () => {
    const WRITE = `${STORE}
      const conversion = await store.create("made");
      for (const entry of args.files) {
        const file = await conversion.folder.create(entry[0]);
        await file.write(await contentsOf(fileOf(entry)));
        await file.finish();
      }
      await conversion.folder.replace("journal.json", "{}");
    `;
    const FINISH = `${WRITE} try { return await conversion.finish(); } finally { conversion.close(); }`;

    test("is a model from its finish on, without what it noted for itself", async () => {
      const files = encoded();
      const before = await tab.run<StoredModel[]>(`${WRITE} conversion.close(); return store.list();`, {
        files,
      });
      expect(before).toMatchObject([{ name: "made", whole: false }]);
      expect(before[0]!.done).toBeGreaterThan(total());
      expect(await tab.run(FINISH, { files })).toMatchObject({ whole: true, weights: "q4", done: total() });
      expect(await tab.run(STORED, { name: "made" })).toEqual(Object.fromEntries(files));
    });

    test("is none where a file is not what its index says", async () => {
      const files = encoded().filter(([name]) => name !== SHARD);
      const { failure } = await tab.call(FINISH, { files });
      expect(failure?.message).toMatch(/^model-1\.safetensors has 0 bytes and the SHA-256 /);
      expect(await tab.run(LIST)).toMatchObject([{ name: "made", whole: false }]);
    });

    test("goes on in the folder that it has left", async () => {
      await tab.callUntil("file-written", WRITE, { files: encoded() }, 3);
      const [names, all] = await tab.run<string[][]>(`${STORE}
        const conversion = await store.create("made");
        const names = await conversion.folder.list();
        const all = await Array.fromAsync(conversion.directory.keys());
        conversion.close();
        return [names, all];`);
      expect(names).toEqual(
        encoded()
          .slice(0, 1)
          .map(([name]) => name),
      );
      expect(all).toEqual(names);
    });

    test("does not take the place of a model", async () => {
      await tab.run(ADD, { files: encoded() });
      expect((await tab.call(`${STORE} await store.create("disk");`)).failure?.message).toBe(
        "disk is in the browser's storage already: choose another name, or delete it.",
      );
    });
  });

  test.each([
    ["at once", 8],
    ["by parts", 4],
  ])("finds a byte that the disk has lost, hashed %s, and fetches that file again", async (how, memory) => {
    await download();
    server.served.length = 0;
    await tab.run(`const { files } = await tools.findModelFolder("tiny");
      const file = await tools.openSync(await files.getFileHandle("${SHARD}"));
      file.write(new Uint8Array([1, 2, 3]), { at: 1000 });
      file.close();`);
    const { value, told } = await tab.call<{ found: StoredModel; digests: number }>(
      `${STORE}
       Object.defineProperty(navigator, "deviceMemory", { value: args.memory });
       let digests = 0;
       const { digest } = SubtleCrypto.prototype;
       SubtleCrypto.prototype.digest = function (...data) { digests++; return digest.apply(this, data); };
       return { found: await store.verify("tiny", { onProgress: tell }), digests };`,
      { memory },
    );
    expect(value?.found).toMatchObject({ whole: false, done: total() - SIZES[0]! });
    expect(value?.digests).toBe(how === "at once" ? server.files.size : 0);
    expect((told.at(-1) as TransferProgress).phase).toBe("check");
    expect((await download()).value?.whole).toBe(true);
    expect(await tab.run(STORED, { name: "tiny" })).toEqual(Object.fromEntries(encoded()));
    expect(server.served.filter(({ name }) => name !== INDEX).map(({ name }) => name)).toSatisfy(
      (names: string[]) => names.every((name) => name === SHARD),
    );
  });

  test("does not take a file that has become empty for one", async () => {
    await download();
    const { failure } = await tab.call(`${STORE}
      const { files } = await tools.findModelFolder("tiny");
      const file = await tools.openSync(await files.getFileHandle("${SHARD}"));
      file.truncate(0);
      file.close();
      await (await store.open("tiny"))("${SHARD}");`);
    expect(failure).toMatchObject({ name: "CheckpointError" });
    expect(failure?.message).toContain(
      `${SHARD} of tiny has 0 bytes in the browser's storage, and had 300000`,
    );
  });

  test("deletes no model that another tab reads", async () => {
    await download();
    const other = await openStoreTab(browser, server.blank);
    await other.run(`globalThis.held = await new tools.ModelStore().open("tiny");`);
    const refused = await tab.call(`${STORE} await store.delete("tiny");`);
    expect(refused.failure?.message).toBe(
      "tiny is in use, in this tab or another one: end the chat that runs it, or its download, and delete it then.",
    );
    expect(await tab.run(LIST)).toMatchObject([{ whole: true }]);
    await other.run(`held.close();`);
    await tab.run(`${STORE} await store.delete("tiny");`);
    expect(await tab.run(LIST)).toEqual([]);
    await other.page.close();
  });

  test("waits for another tab no longer than it is to", async () => {
    server.wrong = { holds: { name: SHARD, after: 1000 } };
    const other = await openStoreTab(browser, server.blank);
    const first = other.call(`await new tools.ModelStore().download(args.url);`, { url: server.url });
    await server.whenSent(1000);
    const { failure } = await tab.call(
      `${STORE} await store.download(args.url, { signal: AbortSignal.timeout(50) });`,
      { url: server.url },
    );
    expect(failure?.name).toBe("TimeoutError");
    server.wrong = {};
    expect((await first).failure).toBeUndefined();
    await other.page.close();
  });

  test("has one model of a name", async () => {
    await tab.run(ADD, { files: encoded() });
    const { failure } = await tab.call(`${STORE} await store.download({ url: args.url, name: "disk" });`, {
      url: server.url,
    });
    expect(failure?.message).toBe(
      `disk is in the browser's storage already, from the disk, and this one is from ${server.url}: give it another name, ` +
        `or delete the one that is there.`,
    );
  });

  test.each(["", "a/b", "..", " a", "x".repeat(129)])("refuses the name %j", async (name) => {
    const { failure } = await tab.call(`${STORE} await store.open(args.name);`, { name });
    expect(failure).toMatchObject({ name: "OptionError" });
    expect(failure?.message).toMatch(/^The model's name is ".*wanted at most 128 characters/);
  });

  test("says of a model that is not there what to do", async () => {
    expect((await tab.call(`${STORE} await store.open("none");`)).failure?.message).toBe(
      "There is no model none in the browser's storage: download it, or choose one that is listed.",
    );
  });

  describe("while it comes", () => {
    const TENSORS = [tensorFile("tensor.0", 1), tensorFile("tensor.1", 2)] as const;

    beforeEach(() => {
      const index = JSON.parse(server.files.get(INDEX)!.toString());
      index.metadata.shards = TENSORS.map((bytes, i) => {
        const name = `model-${i + 1}.safetensors`;
        server.files.set(name, bytes);
        return { name, size: bytes.length, sha256: sha256(bytes) };
      });
      server.files.set(INDEX, Buffer.from(JSON.stringify(index)));
    });

    test("is opened by the headers of its shards, and each shard is read when it is there", async () => {
      server.wrong = { holds: { name: "model-1.safetensors", after: 150_000 } };
      const names = await tab.run(
        `globalThis.files = new tools.ModelStore({ piece: 65536, connections: 1 }).openRemote(args.url);
         globalThis.checkpoint = await tools.openCheckpoint(files);
         return [...checkpoint.tensors.keys()];`,
        { url: server.url },
      );
      expect(names).toEqual(["tensor.0", "tensor.1"]);
      expect(server.sent("model-1")).toBeLessThan(TENSORS[0].length);
      const reading = tab.run(
        `const rows = await checkpoint.readRows("tensor.0", 63, 1);
         return [rows.length, rows[0], rows.at(-1)];`,
      );
      server.wrong = { holds: { name: "model-2.safetensors", after: 150_000 } };
      const first = await reading;
      expect(first).toEqual([1024, 64, 64]);
      expect(server.sent("model-2")).toBeLessThan(TENSORS[1].length);
      const second = tab.run(
        `const rows = await checkpoint.readRows("tensor.1", 0, 1);
         await files.finished;
         files.close();
         return [rows.length, rows[0]];`,
      );
      server.wrong = {};
      expect(await second).toEqual([1024, 2]);
      expect(await tab.run(LIST)).toMatchObject([{ whole: true }]);
      expect(server.sent()).toBe(total());
    });

    test("gives nothing of a file whose header was read early and was wrong", async () => {
      server.wrong = {
        holds: { name: "model-2.safetensors", after: 150_000 },
        flips: { "model-2.safetensors": 1 },
      };
      const early = await tab.run<number[]>(
        `globalThis.files = new tools.ModelStore({ piece: 65536 }).openRemote(args.url);
         globalThis.file = await files("model-2.safetensors");
         return [...await file.read(0, 8)];`,
        { url: server.url },
      );
      expect(early[0]).toBe(TENSORS[1][0]! ^ 1);
      server.wrong = {};
      const { failure } = await tab.call(`await files.finished; await file.read(1000, 8);`);
      await tab.run("files.close();");
      expect(failure?.message).toBe(
        `${server.url}model-2.safetensors changed while it was read: load the model again.`,
      );
    });

    test("gives up when its files are closed, and keeps what is there", async () => {
      server.wrong = { holds: { name: "model-2.safetensors", after: 150_000 } };
      const { failure } = await tab.call(
        `const files = new tools.ModelStore({ piece: 65536 }).openRemote(args.url);
         await (await files("model-1.safetensors")).read(1000, 1000);
         files.close();
         await files.finished;`,
        { url: server.url },
      );
      expect(failure?.name).toBe("AbortError");
      const [partial] = await tab.run<StoredModel[]>(LIST);
      expect(partial!.whole).toBe(false);
      expect(partial!.done).toBeGreaterThan(TENSORS[0].length);
    });
  });

  describe("where the browser has storage across origins", () => {
    /** A stand-in for it, of what `args.shared` has. */
    const SHARED = `${STORE}
      const shared = new Map(args.shared.map((entry) => [entry[0], fileOf(entry)]));
      const asked = [], given = [];
      Object.defineProperty(navigator, "crossOriginStorage", { value: {
        async requestFileHandle({ algorithm, value }, { create } = {}) {
          if (algorithm !== "SHA-256") throw new TypeError(algorithm);
          if (!create) {
            asked.push(value);
            if (!shared.has(value)) throw new DOMException("none", "NotFoundError");
            return { getFile: async () => shared.get(value) };
          }
          return { createWritable: async () => ({
            write: async (blob) => void given.push([value, blob.size]),
            close: async () => {},
          }) };
        },
      } });
      const model = await store.download(args.url);
      return { whole: model.whole, asked, given };
    `;
    const sums = () =>
      SIZES.map((_, i) => server.files.get(`model-${i + 1}.safetensors`)!).map((bytes) => sha256(bytes));

    test("asks it for each shard, and gives it those that it had not", async () => {
      const found = await tab.run(SHARED, { url: server.url, shared: [] });
      const given = sums().map((sum, i) => [sum, SIZES[i]]);
      expect(found).toEqual({ whole: true, asked: sums(), given: expect.arrayContaining(given) });
    });

    test("fetches no shard that it has", async () => {
      const shared = sums().map((sum, i) => [
        sum,
        server.files.get(`model-${i + 1}.safetensors`)!.toString("base64"),
      ]);
      expect(await tab.run(SHARED, { url: server.url, shared })).toMatchObject({ whole: true });
      expect(server.sent("model-")).toBe(0);
      expect(await tab.run(STORED, { name: "tiny" })).toEqual(Object.fromEntries(encoded()));
    });

    test("does not believe it", async () => {
      const shared = sums().map((sum, i) => [sum, Buffer.alloc(SIZES[i]!).toString("base64")]);
      expect(await tab.run(SHARED, { url: server.url, shared })).toMatchObject({ whole: true });
      expect(await tab.run(STORED, { name: "tiny" })).toEqual(Object.fromEntries(encoded()));
    });
  });
});

/** A safetensors file of one tensor of F32 [64, 1024], of which each row has the number of the row, from `first` on. */
function tensorFile(name: string, first: number): Buffer {
  const rows = Float32Array.from({ length: 64 * 1024 }, (_, i) => first + Math.floor(i / 1024));
  const header = Buffer.from(
    JSON.stringify({ [name]: { dtype: "F32", shape: [64, 1024], data_offsets: [0, rows.byteLength] } }),
  );
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, Buffer.from(rows.buffer)]);
}
