import { convertInTab } from "../convert/convert.ts";
import { startPacking } from "../convert/start.ts";
import { webHost } from "../host.ts";
import type { Handlers } from "./call.ts";
import { gpuRoom } from "./room.ts";
import { store } from "./source.ts";

type ModelCall = "list" | "space" | "inspect" | "download" | "add" | "convert" | "verify" | "delete";

/** The calls about models in the browser's storage. */
export const modelHandlers: Pick<Handlers, ModelCall> = {
  list: () => store.list(),
  space: () => store.space(),
  async inspect({ signal }, source, as) {
    const gpu = await gpuRoom();
    return store.inspect(source, { ...as, signal, ...(gpu && { gpu }) });
  },
  download: ({ signal, emit }, model) => store.download(model, { signal, onProgress: emit }),
  add: ({ signal, emit }, name, files) => store.add(name, files, { signal, onProgress: emit }),
  convert: ({ signal, emit }, name, source, options) =>
    convertInTab(
      store,
      name,
      source,
      { ...options, signal, onProgress: emit },
      { host: webHost, startWorker: startPacking },
    ),
  verify: ({ signal, emit }, name) => store.verify(name, { signal, onProgress: emit }),
  delete: async (_, name) => {
    await store.delete(name);
    return null;
  },
};
