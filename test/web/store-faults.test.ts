import { beforeEach, describe, expect, test } from "vitest";
import type { StoredModel } from "../../web/api.ts";
import { FAULT_POINTS, type FaultPoint } from "../../web/store/fault.ts";
import { expectBrowser, hasBrowser } from "../support/browser.ts";
import { convertedFiles, type HostileServer } from "../support/hostile-server.ts";
import { STORED, type StoreParts, type StoreTab, serveFiles, useStore } from "../support/store.ts";

expectBrowser();

const PIECE = 64 * 1024;
const SIZES = [150_000, 100_000];
const SHARD = "model-1.safetensors";

const LIST = "return new tools.ModelStore().list();";
const DOWNLOAD = `
  if (args.withoutMove) delete FileSystemFileHandle.prototype.move;
  return new tools.ModelStore({ piece: args.piece ?? ${PIECE} }).download(args.url);
`;
const DELETE = `await new tools.ModelStore().delete("tiny");`;
/** What whoever loads the model would be told. */
const OPEN = `(await new tools.ModelStore().open("tiny")).close();`;

/** At which a download is ended, and for the how manieth time it comes there. */
const ENDS: [point: FaultPoint, nth: number, more?: "without move" | "wrong byte"][] = [
  ["folder-made", 1],
  ["file-begun", 1],
  ["file-written", 2],
  ["file-named", 2],
  ["state-written", 1],
  ["state-written", 4],
  // The last one, by which it is whole.
  ["state-written", 7],
  ["rename-marked", 4, "without move"],
  ["rename-emptied", 5, "without move"],
  ["rename-copied", 6, "without move"],
  ["pieces-begun", 1],
  ["bytes-written", 3],
  ["bytes-counted", 3],
  ["shard-filled", 1],
  ["shard-bad", 1, "wrong byte"],
  ["shard-right", 2],
  ["shard-counted", 2],
];

/** Of cuts and reloads; with STORE_MEGABYTES=200, on a machine that does nothing else, what the issue asks for. */
const MEGABYTES = Number(process.env.STORE_MEGABYTES ?? 24);
const [CUTS, RELOADS] = [50, 10];
/**
 * Of all bytes, those that are fetched twice. They are what Chromium had and had not handed on when it was interrupted: of
 * 60 times, 1 % of 200 MB for each, and more where it has little of the processor. Pieces that began again would cost several times all.
 */
const MOST_TWICE = MEGABYTES >= 200 ? 0.01 : 0.25;
/** Bytes per second, of a line of 80 Mbit/s: what is on its way when it breaks is lost, and more of it on a quicker one. */
const RATE = 10_000_000;

describe.skipIf(!hasBrowser)("a model that is interrupted", () => {
  let tab: StoreTab;
  let server: HostileServer;
  let total: StoreParts["total"];

  useStore((parts) => {
    ({ server, tab, total } = parts);
  });

  beforeEach(() => {
    serve(SIZES);
  });

  function serve(sizes: readonly number[]): void {
    serveFiles(server, convertedFiles(sizes));
  }

  async function expectSame(): Promise<void> {
    const stored = await tab.run<Record<string, string>>(STORED, { name: "tiny" });
    const wanted = [...server.files].map(([name, bytes]) => [name, bytes.toString("base64")]);
    expect(stored).toEqual(Object.fromEntries(wanted));
  }

  test.each(ENDS)("is partial or right where its worker ends at %s, time %d", async (point, nth, more) => {
    if (more === "wrong byte") server.wrong = { flips: { [SHARD]: 1 } };
    const args = { url: server.url, withoutMove: more === "without move" };
    expect((await tab.callUntil(point, DOWNLOAD, args, nth)).ended).toBe(true);
    const [found] = await tab.run<StoredModel[]>(LIST);
    const opened = await tab.call(OPEN);
    if (found!.whole) await expectSame();
    else expect(opened.failure).toMatchObject({ name: "StorageError" });
    expect((await tab.call<StoredModel>(DOWNLOAD, args)).value).toMatchObject({ whole: true, done: total() });
    await expectSame();
    const left = await tab.run(`const { directory } = await tools.findModelFolder("tiny");
      const namesIn = async (folder) => {
        const names = await Array.fromAsync(folder.values(), (entry) =>
          entry.kind === "file" ? entry.name : namesIn(entry));
        return names.flat();
      };
      return (await namesIn(directory)).sort();`);
    expect(left).toEqual([...server.files.keys(), "state.json"].sort());
  });

  test("is gone, or is none that could be loaded, where its worker ends as it is deleted", async () => {
    await tab.run(DOWNLOAD, { url: server.url });
    expect((await tab.callUntil("delete-begun", DELETE)).ended).toBe(true);
    expect(await tab.run(LIST)).toMatchObject([{ name: "tiny", whole: false }]);
    expect((await tab.call(OPEN)).failure).toMatchObject({ name: "StorageError" });
    await tab.run(DELETE);
    expect(await tab.run(LIST)).toEqual([]);
  });

  test("is tried at every point that there is", () => {
    const tried = [...ENDS.map(([point]) => point), "delete-begun"];
    expect([...new Set(tried)].sort()).toEqual([...FAULT_POINTS].sort());
  });

  test(`comes whole through ${CUTS} cuts and ${RELOADS} reloads, and hardly a byte of it twice`, async () => {
    serve(Array.from({ length: 4 }, () => (MEGABYTES * 1e6) / 4));
    server.wrong = { rate: RATE, block: 4096 };
    const args = { url: server.url, piece: 2 ** 20 };
    const random = seeded(12);
    const moments = Array.from({ length: CUTS + RELOADS }, (_, i) => ({
      at: random() * total(),
      reload: i < RELOADS,
    })).sort((a, b) => a.at - b.at);
    let running = tab.call<StoredModel>(DOWNLOAD, args);
    for (const { at, reload } of moments) {
      await server.whenSent(at);
      if (!reload) {
        server.cut();
        continue;
      }
      await tab.end();
      expect((await running).ended).toBe(true);
      await tab.begin();
      running = tab.call(DOWNLOAD, args);
    }
    const { value, failure } = await running;
    expect(failure).toBeUndefined();
    expect(value).toMatchObject({ whole: true, done: total() });
    const twice = server.sent() - total();
    if (process.env.STORE_MEGABYTES) {
      console.info(`${MEGABYTES} MB, ${CUTS} cuts, ${RELOADS} reloads: ${twice} bytes were fetched twice.`);
    }
    expect(twice / total()).toBeLessThan(MOST_TWICE);
    const checked = await tab.run<StoredModel>(`return new tools.ModelStore().verify("tiny");`);
    expect(checked.whole).toBe(true);
  });
});

/** Numbers from 0 to 1, the same for the same seed. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
