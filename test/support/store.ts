import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import type { BrowserContext, Page } from "playwright-core";
import { afterAll, beforeAll, beforeEach } from "vitest";
import type { Room } from "../../src/index.ts";
import type { StoredModel } from "../../web/api.ts";
import type { FaultPoint } from "../../web/store/fault.ts";
import { launchProfile } from "./browser.ts";
import { type HostileServer, serveHostile } from "./hostile-server.ts";

/** What a call in a worker came to. */
export interface Outcome<T> {
  readonly value?: T;
  readonly failure?: {
    readonly name: string;
    readonly message: string;
    readonly code?: string;
    readonly room?: Room;
  };
  /** What the code has told on its way. */
  readonly told: readonly unknown[];
  /** Whether the worker was ended before it came to an end. */
  readonly ended?: boolean;
}

/** A tab of which every worker works on the origin's storage. */
export interface StoreTab {
  readonly page: Page;
  /** Begins a worker, which replaces the one before. */
  begin(): Promise<void>;
  /** Runs the body of an async function of `tools`, `args` and `tell` in the worker. */
  call<T>(code: string, args?: unknown): Promise<Outcome<T>>;
  /** As call(), and throws what is thrown there. */
  run<T>(code: string, args?: unknown): Promise<T>;
  /** As call(), of a worker that is ended when it comes to a point for the nth time. */
  callUntil<T>(point: FaultPoint, code: string, args?: unknown, nth?: number): Promise<Outcome<T>>;
  /** Ends the worker in the middle of whatever it does. */
  end(): Promise<void>;
}

/** Removes all that is stored, whatever left it. */
export async function clearStore(tab: StoreTab): Promise<void> {
  await tab.begin();
  await tab.run(
    `const root = await navigator.storage.getDirectory();
     for await (const name of root.keys()) await tools.removeEntry(root, name);`,
  );
}

/** For calls: a store, and what makes files of what goes there as text. */
export const STORE = `
  const store = new tools.ModelStore({ piece: 65536 });
  const fileOf = ([name, text]) => new File([Uint8Array.from(atob(text), (c) => c.charCodeAt(0))], name);
  const contentsOf = async (file) => new Uint8Array(await file.arrayBuffer());
`;

/** What the tests of a file share. */
export interface StoreParts {
  readonly browser: BrowserContext;
  readonly server: HostileServer;
  readonly tab: StoreTab;
  /** Bytes of the server's files. */
  total(): number;
  /** The server's files, as base64. */
  encoded(): [name: string, contents: string][];
  /** Downloads what the server has. */
  download(): Promise<Outcome<StoredModel>>;
}

/** Opens a browser, a server without files and a tab for the tests of a suite, each of which finds the storage empty. */
export function useStore(take: (parts: StoreParts) => void): void {
  let parts: StoreParts | undefined;
  beforeAll(async () => {
    const browser = await launchProfile();
    const server = await serveHostile(new Map());
    const tab = await openStoreTab(browser, server.blank);
    parts = {
      browser,
      server,
      tab,
      total: () => [...server.files.values()].reduce((sum, { length }) => sum + length, 0),
      encoded: () => [...server.files].map(([name, bytes]) => [name, bytes.toString("base64")]),
      download: () => tab.call(`${STORE} return store.download(args.url);`, { url: server.url }),
    };
    take(parts);
  });
  afterAll(async () => {
    await parts?.browser.close();
    await parts?.server.close();
  });
  beforeEach(() => clearStore(parts!.tab));
}

/** Has the server serve files, and nothing wrong, from now on. */
export function serveFiles(server: HostileServer, files: Iterable<readonly [string, Buffer]>): void {
  server.files.clear();
  for (const [name, contents] of files) server.files.set(name, contents);
  server.served.length = 0;
  server.most = 0;
  server.wrong = {};
}

/** Reads all files of the model `args.name`, which has to be whole, as base64 by name. */
export const STORED = `
  const held = await new tools.ModelStore().open(args.name);
  const root = await tools.findModelFolder(args.name);
  const read = {};
  for await (const name of root.files.keys()) {
    const file = await held(name);
    const bytes = await file.read(0, file.size);
    let text = "";
    for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
    read[name] = btoa(text);
  }
  held.close();
  return read;
`;

/** @param blank the address of an empty page */
export async function openStoreTab(browser: BrowserContext, blank: string): Promise<StoreTab> {
  const page = await browser.newPage();
  await page.goto(blank);
  await page.evaluate(`(${PAGE})(${JSON.stringify(await workerScript())})`);
  const tab: StoreTab = {
    page,
    begin: () => page.evaluate("begin()"),
    call: (code, args) => page.evaluate(`call(${JSON.stringify({ code, args })})`),
    async run(code, args) {
      const { value, failure } = await tab.call(code, args);
      if (failure) throw new Error(`${failure.name}: ${failure.message}`);
      return value as never;
    },
    async callUntil(point, code, args, nth = 1) {
      await page.evaluate(`worker.postMessage(${JSON.stringify({ stopAt: point, nth })})`);
      const outcome = (await tab.call(code, args)) as Outcome<never>;
      await tab.begin();
      return outcome;
    },
    end: () => page.evaluate("end()"),
  };
  await tab.begin();
  return tab;
}

let script: Promise<string> | undefined;

/** The worker in one piece, which begins ten times sooner than by its modules: tests begin hundreds of them. */
function workerScript(): Promise<string> {
  const entry = fileURLToPath(new URL("store-worker.ts", import.meta.url));
  script ??= build({
    entryPoints: [entry],
    bundle: true,
    format: "esm",
    target: "es2023",
    write: false,
  }).then(({ outputFiles }) => outputFiles[0]!.text);
  return script;
}

/** Of the page: text, as all that runs there. */
const PAGE = `(script) => {
  const address = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const calls = new Map();
  let ids = 0;
  globalThis.end = () => {
    globalThis.worker?.terminate();
    for (const call of calls.values()) call.settle({ ended: true });
    calls.clear();
  };
  globalThis.begin = () => {
    end();
    globalThis.worker = new Worker(address, { type: "module" });
    worker.onerror = (event) => { for (const call of calls.values()) call.settle({ failure: { name: "worker", message: event.message ?? "did not start" } }); };
    worker.onmessage = ({ data }) => {
      if ("reached" in data) return end();
      const call = calls.get(data.id);
      if ("told" in data) return void call?.told.push(data.told);
      calls.delete(data.id);
      call?.settle(data);
    };
  };
  globalThis.call = ({ code, args }) => new Promise((resolve) => {
    const id = ++ids;
    const told = [];
    calls.set(id, { told, settle: ({ value, failure, ended }) => resolve({ value, failure, ended, told }) });
    worker.postMessage({ id, code, args });
  });
}`;
