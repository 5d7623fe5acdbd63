import type { OpenFile } from "../../src/index.ts";
import type { ModelSource, TransferOptions } from "../api.ts";
import { diskFolder } from "../store/disk.ts";
import { remoteFolder } from "../store/inspect.ts";
import { ModelStore, nameOf } from "../store/store.ts";

/** A model's files, from wherever they are. */
interface OpenModel {
  readonly name: string;
  readonly open: OpenFile;
  /** Resolves when all of it is in the browser's storage, where it is to be. */
  readonly kept: Promise<void>;
  /** Lets others delete it. */
  close(): void;
}

export const store: ModelStore = new ModelStore();

/** @param keep Whether a model with a URL goes into the browser's storage, or is read from its server each time. */
export async function openSource(
  source: ModelSource,
  keep: boolean,
  options: TransferOptions,
): Promise<OpenModel> {
  const nothing = { kept: Promise.resolve(), close: () => {} };
  if (typeof source === "string" || source instanceof URL) return openSource({ url: source }, keep, options);
  if ("files" in source) {
    const { name, open } = diskFolder("model", source.files);
    return { ...nothing, name: name === "" ? "files" : name, open };
  }
  if ("stored" in source) {
    const files = await store.open(source.stored, options.signal);
    return { ...nothing, name: source.stored, open: files, close: () => files.close() };
  }
  const name = nameOf(source);
  if (!keep) return { ...nothing, name, open: remoteFolder(source.url, source.headers) };
  const files = store.openRemote(source, options);
  return { name, open: files, kept: files.finished, close: () => files.close() };
}
