import type { BrowserContext, Page } from "playwright-core";
import type { Asked, Told } from "./convert-worker.ts";
import type { SourceServer } from "./sources.ts";

/** What a conversion has come to; held in the page. */
export interface Conversion {
  readonly progress: Extract<Told, { progress: unknown }>["progress"][];
  readonly result?: unknown;
  readonly failure?: string;
}

/** Folders of the disk by what they are given as. */
export type Parts = Partial<Record<"model" | "base" | "delta", string>>;

type Options = Partial<Omit<Asked, "name" | "source" | "root">> & {
  /** Takes the handle of a folder, which the page has as `handle`, in the place of the chosen files. */
  readonly handle?: boolean;
};

/** A page that converts in a worker. */
export interface ConvertTab {
  readonly page: Page;
  /** Chooses folders, as a person does. */
  choose(parts: Parts): Promise<void>;
  /** Begins a conversion of what was chosen. */
  begin(name: string, options?: Options): Promise<void>;
  /** What the one that was begun has come to. */
  ended(): Promise<Conversion>;
  convert(name: string, options?: Options): Promise<Conversion>;
  /** SHA-256 by name of the files that there are of a model. */
  stored(name: string): Promise<Record<string, string>>;
}

/** SwiftShader compiles a kernel in about a second, and calibrating takes some. */
const GPU_MS = 100_000;
/** Small, so that there are several shards. */
export const SHARD_BYTES: number = 128 * 1024;

/** Opens a page without anything in it, at an address of the storage's origin. */
export async function openConvertTab(
  context: BrowserContext,
  server: SourceServer,
  address: string = server.blank,
): Promise<ConvertTab> {
  const page = await context.newPage();
  await page.goto(address);
  await page.evaluate(`(() => {${PAGE}})()`);
  const tab: ConvertTab = {
    page,
    async choose(parts) {
      const inputs = Object.keys(parts).map((part) => `<input type="file" webkitdirectory id="${part}">`);
      await page.evaluate(`document.body.innerHTML = ${JSON.stringify(inputs.join(""))}`);
      for (const [part, path] of Object.entries(parts)) await page.setInputFiles(`#${part}`, path);
    },
    async begin(name, options = {}) {
      const asked = { name, root: server.address(""), shardBytes: SHARD_BYTES, workers: 2, ...options };
      const worker = server.address("test/support/convert-worker.ts");
      await page.evaluate(`begin(${JSON.stringify(worker)}, ${JSON.stringify(asked)})`);
    },
    async ended() {
      await page.waitForFunction("conversion.result || conversion.failure", undefined, { timeout: GPU_MS });
      return (await page.evaluate("conversion")) as Conversion;
    },
    async convert(name, options) {
      await tab.begin(name, options);
      return tab.ended();
    },
    stored: (name) => page.evaluate(`sumsOf(${JSON.stringify(name)})`),
  };
  return tab;
}

/** Of the page: text, as all that runs there. */
const PAGE = `
  window.filesOf = async (model) => {
    let folder = await navigator.storage.getDirectory();
    for (const name of ["ziya-webgpu", "models", model, "files"]) {
      folder = await folder.getDirectoryHandle(name, { create: true });
    }
    return folder;
  };
  window.long = [];
  const note = (entries) => long.push(...entries.map(({ duration }) => duration));
  const observer = new PerformanceObserver((list) => note(list.getEntries()));
  observer.observe({ type: "longtask" });
  // Of tasks that are over: they are noted in the next turn.
  window.longTasks = async () => {
    await new Promise((resolve) => setTimeout(resolve));
    note(observer.takeRecords());
    return long.splice(0);
  };
  window.mostRead = 0;
  new BroadcastChannel("reads").onmessage = ({ data }) => {
    window.mostRead = Math.max(window.mostRead, data);
  };
  window.chosen = () => {
    const source = {};
    for (const { id, files } of document.querySelectorAll("input")) source[id] = [...files];
    return source;
  };
  window.begin = (address, { handle, ...asked }) => {
    window.converter?.terminate();
    window.converter = new Worker(address, { type: "module" });
    window.conversion = { progress: [] };
    converter.onerror = ({ message }) => { conversion.failure = message; };
    converter.onmessage = ({ data }) => {
      if (data.progress) conversion.progress.push(data.progress);
      else Object.assign(conversion, data);
    };
    converter.postMessage({ ...asked, source: handle ? { model: window.handle } : chosen() });
  };
  window.sumsOf = async (name) => {
    const sums = [];
    for await (const [file, handle] of (await filesOf(name)).entries()) {
      const bytes = await (await handle.getFile()).arrayBuffer();
      const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
      sums.push([file, Array.from(sum, (byte) => byte.toString(16).padStart(2, "0")).join("")]);
    }
    return Object.fromEntries(sums.sort());
  };
`;
