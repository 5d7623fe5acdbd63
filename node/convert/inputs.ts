import { stat } from "node:fs/promises";
import { join, parse } from "node:path";
import { refusePointers } from "../../src/checkpoint/source.ts";
import type { SourceFolder, Sources } from "../../src/convert/inputs.ts";
import { expectFolder, fileSource, openFolder, unreadable } from "../files.ts";

/** Where the files of a checkpoint come from, in words that a worker thread can be told. */
export type SourceDescription =
  | { readonly kind: "folder"; readonly path: string }
  /** The function `name` that the module exports makes an `OpenFile` of `argument`. */
  | { readonly kind: "module"; readonly url: string; readonly name: string; readonly argument: unknown };

/** A model by itself, or one that is the sum of two. */
export type InputDescription = (
  | { readonly model: SourceDescription }
  | { readonly base: SourceDescription; readonly delta: SourceDescription }
) & {
  /** The path of a text to run the model over, whose activations say which weights count. */
  readonly calibration?: string | undefined;
};

/** @throws CheckpointError for a folder that is none, OptionError for a path that is none. */
export async function openSources(description: InputDescription): Promise<Sources> {
  const { calibration: path } = description;
  const calibration = path === undefined ? undefined : { name: parse(path).base, folder: openText(path) };
  if ("model" in description) return { model: await openSource("model", description.model), calibration };
  const base = await openSource("base", description.base);
  return { base, delta: await openSource("delta", description.delta), calibration };
}

async function openSource(part: string, source: SourceDescription): Promise<SourceFolder> {
  if (source.kind === "module") {
    const open = (await import(source.url))[source.name](source.argument);
    return { title: `The ${part}`, open, modified: async () => undefined };
  }
  const { path } = source;
  expectFolder(path, part);
  const modified = (name: string) => modifiedAt(join(path, name));
  return { title: `${path}, given as the ${part},`, open: openFolder(path), modified };
}

/** A text of any name, unlike the files of a checkpoint. */
function openText(path: string): SourceFolder {
  const title = `${path}, given as the calibration text,`;
  return {
    title,
    open: refusePointers(() => fileSource(path, title)),
    modified: () => modifiedAt(path),
  };
}

async function modifiedAt(path: string): Promise<number> {
  const { mtimeMs } = await stat(path).catch((cause: unknown) => {
    throw unreadable(path, cause);
  });
  return mtimeMs;
}
