import type { ConversionSource, TransferProgress } from "../../web/api.ts";
import { convertInTab } from "../../web/convert/convert.ts";
import { ModelStore } from "../../web/store/store.ts";

/** What a page of the tests asks of this worker: a conversion, or, without a source, the end of the one that runs. */
export interface Asked {
  readonly name: string;
  readonly source?: ConversionSource;
  readonly weights?: string;
  readonly calibration?: string | File;
  readonly workers?: number;
  readonly shardBytes?: number;
  /** What the browser says to be free, in bytes. */
  readonly free?: number;
  /** The phase in which the worker ends, without another word. */
  readonly endAt?: TransferProgress["phase"];
  /** Of the checkout. */
  readonly root: string;
}

export type Told =
  | { readonly progress: TransferProgress }
  | { readonly result: unknown }
  | { readonly failure: string };

const tell = (told: Told) => self.postMessage(told);

const store = new ModelStore();
let stopping = new AbortController();

self.addEventListener("message", async ({ data }: MessageEvent<Asked>) => {
  const { name, source, root, free, endAt, shardBytes, ...options } = data;
  if (!source) return stopping.abort(new Error("stopped by the page"));
  stopping = new AbortController();
  if (free !== undefined)
    Object.assign(navigator.storage, { estimate: async () => ({ quota: free, usage: 0 }) });
  const onProgress = (progress: TransferProgress) => {
    tell({ progress });
    if (progress.phase === endAt) self.close();
  };
  try {
    const parts = {
      shardBytes,
      host: () => ({
        gpu: navigator.gpu,
        readShader: async (shader: string) => (await fetch(`${root}shaders/${shader}.wgsl`)).text(),
      }),
      // Counts what is read, for the test of memory.
      startWorker: () => new Worker(new URL("./packing-worker.ts", import.meta.url), { type: "module" }),
    };
    tell({
      result: await convertInTab(
        store,
        name,
        source,
        { ...options, signal: stopping.signal, onProgress },
        parts,
      ),
    });
  } catch (error) {
    const { name, message } = error as Error;
    tell({ failure: `${name}: ${message}` });
  }
});
