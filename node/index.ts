import { join } from "node:path";
import { type Engine, type EngineOptions, type LlamaModel, loadEngine, type OpenFile } from "../src/index.ts";
import { expectFolder, openFolder } from "./files.ts";
import { dawnHost, packageRoot } from "./host.ts";

export * from "../src/index.ts";
export { saveConversation } from "./conversation.ts";
export { fileSource, openFolder } from "./files.ts";
export { DAWN_SUBGROUP_MATRIX, type DawnHost, dawnHost } from "./host.ts";

export interface NodeOptions extends EngineOptions {
  /** A checkpoint folder in Hugging Face's layout. Default: the small model that comes with this package. */
  readonly model?: string;
  /** Dawn's own, such as DAWN_SUBGROUP_MATRIX. Default: none. */
  readonly flags?: readonly string[];
}

/** Where the small model lies that comes with this package. */
export const embeddedModel: string = join(packageRoot, "models", "ziya-tiny");

/**
 * A checkpoint folder, the embedded model's by default.
 * @throws CheckpointError when it does not exist or is no folder, OptionError for an empty name.
 */
export function openModel(folder: string = embeddedModel): OpenFile {
  expectFolder(folder);
  return openFolder(folder);
}

/**
 * Loads a model onto Dawn's adapter.
 * @throws what `loadEngine` throws.
 */
export async function load(options: NodeOptions = {}): Promise<Engine<LlamaModel>> {
  const { model, flags = [], ...engineOptions } = options;
  const open = openModel(model);
  const host = dawnHost([...flags]);
  try {
    return await loadEngine(host, open, engineOptions, () => host.release());
  } catch (error) {
    host.release();
    throw error;
  }
}
