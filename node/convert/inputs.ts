import { stat } from "node:fs/promises";
import { join, parse } from "node:path";
import type { Checkpoint, Dtype, TensorInfo } from "../../src/checkpoint/checkpoint.ts";
import { mergeDelta, refuseUnmergedDelta, WHOLE } from "../../src/checkpoint/delta.ts";
import { ELEMENT_BYTES } from "../../src/checkpoint/dtype.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { type ByteSource, type OpenFile, refusePointers } from "../../src/checkpoint/source.ts";
import { CheckpointError } from "../../src/errors.ts";
import { type Config, parseConfig, parseConfigObject, readConfigText } from "../../src/model/config.ts";
import { expectTensors } from "../../src/model/tensors.ts";
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

/** A file that a conversion reads, as it was when it was opened. */
export interface SourceFile {
  /** The part and the plain name: "delta/config.json". */
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /** When it last changed, in milliseconds since 1970; not known of a module's files. */
  readonly modified?: number;
}

export interface Inputs {
  /** The weights to convert, merged where they are to be. */
  readonly checkpoint: Checkpoint;
  readonly config: Config;
  /** The text to calibrate on, if any. */
  readonly calibration: ByteSource | undefined;
  /** Those that the config calls for, in the order in which a model is loaded. */
  readonly tensors: readonly TensorInfo[];
  /** The folder with the model's own config and tokenizer: of a base and its delta, the delta's. */
  readonly open: OpenFile;
  /** The files of `open` besides the weights, as far as they are there, by their names there. */
  readonly texts: ReadonlyMap<string, ByteSource>;
  /** Every file that was opened so far. */
  readonly files: ReadonlyMap<string, SourceFile>;
  /**
   * One of `files` as it is now, to be read whole.
   * @throws CheckpointError when it is another than it was.
   */
  reopen(file: SourceFile): Promise<ByteSource>;
  /** Bytes that are read for each weight of a tensor. */
  bytesPerWeight(tensor: string): number;
}

type Reopen = (name: string) => Promise<{ readonly file: ByteSource; readonly now: SourceFile } | undefined>;

/** The files besides the weights that make a folder a model. */
export const TEXT_FILES: readonly string[] = [
  "config.json",
  "generation_config.json",
  "tokenizer.model",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "chat_template.jinja",
];

/**
 * Opens what is to be converted, reading headers and a few rows only.
 * @throws CheckpointError or ConfigError when it is incomplete, not what it is given as, or does not fit its config.
 */
export async function openInputs(description: InputDescription): Promise<Inputs> {
  const files = new Map<string, SourceFile>();
  const reopeners = new Map<string, Reopen>();
  const openPart = async (part: string, source: SourceDescription): Promise<OpenFile> => {
    return track(part, source, await openSource(part, source));
  };
  const track = (part: string, source: SourceDescription, open: OpenFile): OpenFile => {
    reopeners.set(part, async (name) => {
      const file = await open(name);
      return file && { file, now: await identify(part, source, name, file) };
    });
    return async (name) => {
      const file = await open(name);
      if (!file) return undefined;
      const found = await identify(part, source, name, file);
      files.set(found.name, found);
      // Both parts have files of these names: messages say which is meant.
      const { size } = file;
      return { name: found.name, size, read: (...range) => file.read(...range) };
    };
  };

  let checkpoint: Checkpoint;
  let parts: Checkpoint[];
  let own: OpenFile;
  if ("model" in description) {
    own = await openPart("model", description.model);
    checkpoint = await openWeights("model", description.model, own);
    await refuseUnmergedDelta(checkpoint);
    parts = [checkpoint];
  } else {
    const openBase = await openPart("base", description.base);
    own = await openPart("delta", description.delta);
    const base = await openWeights("base", description.base, openBase);
    const delta = await openWeights("delta", description.delta, own);
    checkpoint = await mergeDelta(base, delta, await readBaseConfig(openBase));
    parts = [base, delta];
  }
  const config = await readConfig("model" in description ? "model" : "delta", own);
  const tensors = await expectTensors(checkpoint, config);
  const texts = new Map<string, ByteSource>();
  for (const name of TEXT_FILES) {
    const file = await own(name);
    if (file) texts.set(name, file);
  }
  return {
    checkpoint,
    config,
    calibration: await openCalibration(description.calibration, track),
    tensors,
    open: own,
    texts,
    files,
    async reopen(before) {
      const slash = before.name.indexOf("/");
      const found = await reopeners.get(before.name.slice(0, slash))!(before.name.slice(slash + 1));
      if (found && isSame(before, found.now)) return { ...found.file, name: before.name };
      throw changed(before, found?.now);
    },
    bytesPerWeight(name) {
      const read = WHOLE.has(name) ? parts.slice(-1) : parts;
      return read.reduce((sum, { tensors }) => sum + ELEMENT_BYTES[tensors.get(name)!.dtype as Dtype], 0);
    },
  };
}

/**
 * The files that `inputs` opened must be those that were seen when the conversion began.
 * @throws CheckpointError naming the first that is another.
 */
export function expectSameFiles(files: Inputs["files"], wanted: readonly SourceFile[]): void {
  for (const before of wanted) {
    const now = files.get(before.name);
    if (!now || !isSame(before, now)) throw changed(before, now);
  }
}

function isSame(before: SourceFile, now: SourceFile): boolean {
  return now.size === before.size && now.modified === before.modified;
}

function changed(before: SourceFile, now: SourceFile | undefined): CheckpointError {
  return new CheckpointError(
    `${before.name} changed while it was converted (${describeFile(before)}; ${now ? `now ${describeFile(now)}` : "now gone"}): ` +
      `wait until it is complete, and begin again in an empty folder.`,
  );
}

/** For messages. */
export function describeFile({ size, modified }: SourceFile): string {
  return `${size} bytes${modified === undefined ? "" : ` of ${new Date(modified).toISOString()}`}`;
}

async function openSource(part: string, source: SourceDescription): Promise<OpenFile> {
  if (source.kind === "module") return (await import(source.url))[source.name](source.argument);
  expectFolder(source.path, part);
  return openFolder(source.path);
}

/** A text of any name, unlike the files of a checkpoint. */
async function openCalibration(
  path: string | undefined,
  track: (part: string, source: SourceDescription, open: OpenFile) => OpenFile,
): Promise<ByteSource | undefined> {
  if (path === undefined) return undefined;
  const text = refusePointers(() => fileSource(path, `${path}, given as the calibration text,`));
  const { dir, base } = parse(path);
  return track("calibration", { kind: "folder", path: dir }, text)(base);
}

async function identify(
  part: string,
  source: SourceDescription,
  name: string,
  file: ByteSource,
): Promise<SourceFile> {
  const { size } = file;
  if (source.kind === "module") return { name: `${part}/${name}`, size };
  const path = join(source.path, name);
  const { mtimeMs } = await stat(path).catch((cause: unknown) => {
    throw unreadable(path, cause);
  });
  return { name: `${part}/${name}`, size, modified: mtimeMs };
}

async function openWeights(part: string, source: SourceDescription, open: OpenFile): Promise<Checkpoint> {
  const folder = source.kind === "folder" ? `${source.path}, given as the ${part},` : `The ${part}`;
  const checkpoint = await openCheckpoint(open, folder);
  if (!checkpoint.packed) return checkpoint;
  throw new CheckpointError(
    `The ${part} is packed as ${checkpoint.packed.format} already, and its exact weights are not there: convert from the ` +
      `checkpoint it was made of.`,
  );
}

async function readConfig(part: string, open: OpenFile): Promise<Config> {
  const text = await readConfigText(open);
  if (text !== undefined) return parseConfig(text);
  throw new CheckpointError(`The ${part} has no config.json: fetch that file too.`);
}

/** A base may come without a config: it only helps to tell a wrong one. */
async function readBaseConfig(open: OpenFile): Promise<object> {
  const text = await readConfigText(open);
  return text === undefined ? {} : parseConfigObject(text, "config.json of the base");
}
