import { readHeader } from "../../src/checkpoint/header.ts";
import { isObject, parseObject } from "../../src/checkpoint/json.ts";
import { packingOf } from "../../src/checkpoint/packed.ts";
import { parseWeightMap } from "../../src/checkpoint/shards.ts";
import {
  type ByteSource,
  bytesSource,
  decodeText,
  INDEX,
  INDEX_LIMIT,
  TEXT_FILES,
  UNFINISHED_INDEX,
} from "../../src/checkpoint/source.ts";
import { readSums } from "../../src/convert/manifest.ts";
import { CheckpointError } from "../../src/errors.ts";
import type { FileState } from "./state.ts";

/** The forms of weights, in the order in which they are looked for: indexes before what they are the index of. */
const WEIGHTS: readonly string[] = ["model.safetensors", "pytorch_model.bin"];

/** Files that are looked for and need not be there; a config has to. */
export const OPTIONAL_FILES: readonly string[] = [
  ...WEIGHTS.flatMap((name) => [name, indexOf(name)]),
  ...TEXT_FILES.filter((name) => name !== "config.json"),
  UNFINISHED_INDEX,
];

/** Where files are looked for: on a server, in a folder of the disk, in the browser's storage. */
export interface Finder {
  /** For messages, at the beginning of a sentence. */
  readonly name: string;
  /** A small file, which is kept where it is fetched; undefined where there is none. */
  text(name: string): Promise<Uint8Array | undefined>;
  /** What is known of a file without reading it; undefined where there is none. */
  look(name: string): Promise<Omit<FileState, "name" | "done"> | undefined>;
}

/** The files of a checkpoint, of which an index is one. */
export interface Plan {
  readonly index: string | undefined;
  readonly files: readonly (Omit<FileState, "done"> & { readonly small: boolean })[];
  /** Whether sizes and sums are those of a conversion's index: then there are no other files. */
  readonly promised: boolean;
}

/**
 * What there is of a checkpoint, of its index only.
 * @throws CheckpointError where there are no weights, or the index cannot be believed.
 */
export async function planFiles(finder: Finder): Promise<Plan> {
  for (const weights of WEIGHTS) {
    const index = indexOf(weights);
    const text = await finder.text(index);
    if (!text) {
      const single = await finder.look(weights);
      if (single) {
        const files = [
          ...(await lookFor(TEXT_FILES, finder, true)),
          { name: weights, small: false, ...single },
        ];
        return { index: undefined, files, promised: false };
      }
      continue;
    }
    const json = decodeText(text, index);
    if (index === INDEX && hasSums(json)) {
      const { shards, files } = await readSums(bytesSource(index, text));
      const all = [
        ...files.map((file) => ({ ...file, small: true })),
        ...shards.map((file) => ({ ...file, small: false })),
      ];
      return { index, files: all, promised: true };
    }
    const shards = [...new Set(parseWeightMap(json, index).values())].sort();
    const found = await lookFor(shards, finder, false);
    const missing = shards.filter((name) => !found.some((file) => file.name === name));
    if (missing.length > 0) {
      throw new CheckpointError(
        `${finder.name} lacks ${missing.slice(0, 8).join(", ")}${missing.length > 8 ? ` and ${missing.length - 8} more` : ""}, ` +
          `which ${index} names: the folder is not complete.`,
      );
    }
    return { index, files: [...(await lookFor(TEXT_FILES, finder, true)), ...found], promised: false };
  }
  throw new CheckpointError(
    (await finder.look(UNFINISHED_INDEX))
      ? `${finder.name} is a conversion that was stopped: let it end, and begin again.`
      : `${finder.name} has no weights: wanted one of ${WEIGHTS.flatMap((name) => [indexOf(name), name]).join(", ")}.`,
  );
}

/** How the weights are packed, by the index or else by the header of the one file; undefined where they are plain. */
export async function packingIn(
  plan: Plan,
  finder: Finder,
  open: (name: string) => Promise<ByteSource | undefined>,
): Promise<string | undefined> {
  if (plan.index) {
    const text = await finder.text(plan.index);
    const { metadata } = parseObject(decodeText(text ?? new Uint8Array(), plan.index), plan.index);
    const weights = isObject(metadata) && plan.promised ? metadata.weights : undefined;
    return typeof weights === "string" ? weights : undefined;
  }
  const single = plan.files.find(({ small, name }) => !small && name.endsWith(".safetensors"));
  const source = single && (await open(single.name));
  return source && packingOf(await readHeader(source), source.name);
}

function indexOf(weights: string): string {
  return `${weights}.index.json`;
}

/** Whether an index is a conversion's; one that says so and is wrong is refused when it is read. */
function hasSums(json: string): boolean {
  if (json.length > INDEX_LIMIT) return false;
  const { metadata } = parseObject(json, INDEX);
  return isObject(metadata) && Array.isArray(metadata.shards);
}

async function lookFor(names: readonly string[], finder: Finder, small: boolean): Promise<Plan["files"]> {
  const found = await Promise.all(
    names.map(async (name) => {
      const file = await finder.look(name);
      return file && { name, small, ...file };
    }),
  );
  return found.filter((file) => file !== undefined);
}
