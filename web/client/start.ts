import type { Reply } from "../protocol.ts";

/**
 * The worker, once its program runs. Bundlers that know `new Worker(new URL(…))` put its file beside theirs, and in a plain
 * folder it is there; from others' bundles its text is started, which a page's policy has to allow (`worker-src blob:`).
 */
export async function startWorker(): Promise<Worker> {
  const own = new Worker(new URL("../worker.ts", import.meta.url), { type: "module", name: "ziya-webgpu" });
  if (await isRunning(own)) return own;
  const embedded = await startText();
  if (embedded && (await isRunning(embedded))) return embedded;
  throw new Error(
    "The worker of ziya-webgpu did not start: neither its file, beside the script, nor its text. Serve worker.js of " +
      'ziya-webgpu/dist/browser, and give the option `worker`: () => new Worker("…/worker.js", { type: "module" }).',
  );
}

/** A worker of the text that the script carries, where it does. */
async function startText(): Promise<Worker | undefined> {
  const { default: text } = await import("./worker-text.ts");
  if (text === "") return undefined;
  // The address stays: for a conversion the worker starts others of its own script.
  const address = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  return new Worker(address, { type: "module", name: "ziya-webgpu" });
}

/** Whether a worker says that it runs; one that cannot be fetched or read says otherwise. */
export function isRunning(worker: Worker): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (runs: boolean) => {
      worker.removeEventListener("message", onMessage);
      worker.removeEventListener("error", onError);
      if (!runs) worker.terminate();
      resolve(runs);
    };
    const onMessage = ({ data }: MessageEvent<Reply>) => settle("ready" in data);
    const onError = (event: Event) => {
      event.preventDefault();
      settle(false);
    };
    worker.addEventListener("message", onMessage);
    worker.addEventListener("error", onError);
  });
}
