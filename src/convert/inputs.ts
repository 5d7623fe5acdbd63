import type { Checkpoint, Dtype, TensorInfo } from "../checkpoint/checkpoint.ts";
import { mergeDelta, refuseUnmergedDelta, WHOLE } from "../checkpoint/delta.ts";
import { ELEMENT_BYTES } from "../checkpoint/dtype.ts";
import { openCheckpoint } from "../checkpoint/open.ts";
import { type ByteSource, type OpenFile, TEXT_FILES } from "../checkpoint/source.ts";
import { CheckpointError } from "../errors.ts";
import { type Config, parseConfig, parseConfigObject, readConfigText } from "../model/config.ts";
import { expectTensors } from "../model/tensors.ts";

/** A folder that is converted. */
export interface SourceFolder {
  /** What messages call it, at the beginning of a sentence. */
  readonly title: string;
  readonly open: OpenFile;
  /** When a file of it last changed, in milliseconds since 1970; undefined where that is not known. */
  modified(name: string): Promise<number | undefined>;
}

/** A model by itself, or one that is the sum of two. */
export type Sources = (
  | { readonly model: SourceFolder }
  | { readonly base: SourceFolder; readonly delta: SourceFolder }
) & {
  /** A text to run the model over, whose activations say which weights count: the folder opens it by that name. */
  readonly calibration?: { readonly name: string; readonly folder: SourceFolder } | undefined;
};

/** A file that a conversion reads, as it was when it was opened. */
export interface SourceFile {
  /** The part and the plain name: "delta/config.json". */
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /** When it last changed, in milliseconds since 1970; undefined where that is not known. */
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

/**
 * Opens what is to be converted, reading headers and a few rows only.
 * @throws CheckpointError or ConfigError when it is incomplete, not what it is given as, or does not fit its config.
 */
export async function openInputs(sources: Sources): Promise<Inputs> {
  const files = new Map<string, SourceFile>();
  const reopeners = new Map<string, Reopen>();
  const track = (part: string, { open, modified }: SourceFolder): OpenFile => {
    const find: Reopen = async (name) => {
      const file = await open(name);
      if (!file) return undefined;
      const time = await modified(name);
      const known = { name: `${part}/${name}`, size: file.size };
      return { file, now: time === undefined ? known : { ...known, modified: time } };
    };
    reopeners.set(part, find);
    return async (plain) => {
      const found = await find(plain);
      if (!found) return undefined;
      // Both parts have files of these names: messages say which is meant.
      const { file, now } = found;
      files.set(now.name, now);
      return { name: now.name, size: now.size, read: (...range) => file.read(...range) };
    };
  };

  let checkpoint: Checkpoint;
  let parts: Checkpoint[];
  let own: OpenFile;
  if ("model" in sources) {
    own = track("model", sources.model);
    checkpoint = await openWeights("model", sources.model, own);
    await refuseUnmergedDelta(checkpoint);
    parts = [checkpoint];
  } else {
    const openBase = track("base", sources.base);
    own = track("delta", sources.delta);
    const base = await openWeights("base", sources.base, openBase);
    const delta = await openWeights("delta", sources.delta, own);
    checkpoint = await mergeDelta(base, delta, await readBaseConfig(openBase));
    parts = [base, delta];
  }
  const config = await readConfig("model" in sources ? "model" : "delta", own);
  const tensors = await expectTensors(checkpoint, config);
  const texts = new Map<string, ByteSource>();
  for (const name of TEXT_FILES) {
    const file = await own(name);
    if (file) texts.set(name, file);
  }
  const text = sources.calibration;
  return {
    checkpoint,
    config,
    calibration: text && (await track("calibration", text.folder)(text.name)),
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
      `wait until it is complete, and begin again from nothing.`,
  );
}

/** For messages. */
export function describeFile({ size, modified }: SourceFile): string {
  return `${size} bytes${modified === undefined ? "" : ` of ${new Date(modified).toISOString()}`}`;
}

async function openWeights(part: string, { title }: SourceFolder, open: OpenFile): Promise<Checkpoint> {
  const checkpoint = await openCheckpoint(open, title);
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
