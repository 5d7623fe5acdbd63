import { httpFolder, type OpenFile } from "../../src/index.ts";
import type { ModelSource, TransferOptions } from "../api.ts";
import { openFiles } from "../files.ts";

/** A model's files, from wherever they are, and what it is called. */
export async function openSource(
  source: ModelSource,
  _options: TransferOptions,
): Promise<{ readonly open: OpenFile; readonly name: string }> {
  if (typeof source === "string" || source instanceof URL) return openSource({ url: source }, _options);
  if ("files" in source) return { open: openFiles(source.files), name: "files" };
  if ("stored" in source) throw new Error("not yet");
  return { open: httpFolder(source.url), name: source.name ?? String(source.url) };
}
