import { isObject, type JsonObject } from "../checkpoint/json.ts";
import { CheckpointError, DeviceLostError } from "../errors.ts";
import { opener } from "../generate/opener.ts";
import { Losses, release } from "../generate/recovery.ts";
import type { DeviceOptions } from "../gpu/device.ts";
import type { Host } from "../host.ts";
import type { Importance } from "../model/calibrate.ts";
import { PRINCIPAL } from "../model/directions.ts";
import { loadCheckpoint } from "../model/load-model.ts";
import type { WeightFormat } from "../stored.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { decodeUtf8 } from "../utf8.ts";
import { decodeBase64, encodeBase64 } from "./base64.ts";
import type { Inputs } from "./inputs.ts";
import { type Damage, damageOf, readJson } from "./journal-file.ts";
import type { Sha256 } from "./manifest.ts";
import type { OutputFolder } from "./output.ts";

export interface CalibrateOptions {
  /** How the model is packed while it runs, and will be. */
  readonly weights: WeightFormat;
  /** The adapter that runs the model over a calibration text. */
  readonly device?: DeviceOptions | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Called while the model is calibrated, with bytes done and in all: of its weights, and as many again for the text. */
  readonly onCalibration?: ((done: number, total: number) => void) | undefined;
}

/** What the host has for it. */
export interface CalibrateParts {
  /** The folder for the result: new, empty, or with the same conversion begun. */
  readonly out: OutputFolder;
  createSha256(): Sha256;
  /** A host to run the model on, for as long as `use` takes. */
  withHost<T>(use: (host: Host) => Promise<T>): Promise<T>;
}

/** Where a conversion that is not finished keeps what it measured: another run would not measure the same bits. */
export const IMPORTANCE = "importance.partial.json";

const EMBEDDING = "model.embed_tokens.weight";

/** Tokens that are run together: enough for attention to matter, and its cost small beside the matrices'. */
const WINDOW = 512;
/** Of a text; fewer say of most columns only what chance says. */
const LEAST_TOKENS = 256;
/** Of a text; more of them than fit here would take days on any adapter. */
const MOST_BYTES = 64 * 1024 * 1024;

/**
 * The calibration text as ids, cut into windows of one length (the last may be shorter), each behind its own
 * begin-of-sequence id; undefined where no text was given.
 * @throws CheckpointError about the text.
 */
export async function readWindows(
  { calibration, config }: Inputs,
  tokenizer: Tokenizer,
): Promise<number[][] | undefined> {
  const source = calibration;
  if (!source) return undefined;
  if (source.size > MOST_BYTES) {
    throw new CheckpointError(
      `${source.name} has ${source.size} bytes; a calibration text has at most ${MOST_BYTES}, and some ten thousand ` +
        "characters are enough.",
    );
  }
  const fault = (cause: unknown) =>
    new CheckpointError(`${source.name} is not UTF-8: save the calibration text as UTF-8.`, { cause });
  const text = decodeUtf8(await source.read(0, source.size), fault);
  if (text.trim() === "") throw new CheckpointError(`${source.name} has no text to calibrate on.`);
  const ids = tokenizer.encode(text);
  const stranger = ids.find((id) => id >= config.vocab_size);
  if (stranger !== undefined) {
    throw new CheckpointError(
      `${source.name} has a token with the id ${stranger}, and the model ends at ${config.vocab_size - 1}; take ` +
        "added tokens out of the text.",
    );
  }
  if (ids.length < LEAST_TOKENS) {
    throw new CheckpointError(
      `${source.name} has ${ids.length} tokens; a calibration text has at least ${LEAST_TOKENS}, and some ten thousand ` +
        "characters are enough.",
    );
  }
  const length = Math.min(WINDOW, config.max_position_embeddings) - 1;
  const count = Math.ceil(ids.length / length);
  return Array.from({ length: count }, (_, i) => [
    tokenizer.bosId,
    ...ids.slice(i * length, (i + 1) * length),
  ]);
}

/**
 * What running the model over `windows` of the calibration text says of every matrix's columns: measured now, or by an
 * earlier run of the same conversion.
 * @throws StorageError about the folder, and what loading throws.
 */
export async function calibrateOnce(
  inputs: Inputs,
  windows: readonly (readonly number[])[],
  { out, createSha256, withHost }: CalibrateParts,
  options: CalibrateOptions,
): Promise<Importance> {
  if ((await out.list()).includes(IMPORTANCE)) {
    return parseImportance(await readJson(out, IMPORTANCE), inputs, createSha256, damageOf(out, IMPORTANCE));
  }
  const importance = await withHost((host) => calibrate(host, inputs, windows, options));
  await out.replace(IMPORTANCE, importanceJson(importance, createSha256));
  return importance;
}

/** Runs the model, packed as the conversion will pack it, over the windows; begun again where the device is lost in it. */
async function calibrate(
  host: Host,
  { config, checkpoint, tensors, bytesPerWeight }: Inputs,
  windows: readonly (readonly number[])[],
  { weights, device = {}, signal, onCalibration }: CalibrateOptions,
): Promise<Importance> {
  const bytes = tensors.reduce((sum, { name, shape }) => {
    return sum + shape.reduce((product, side) => product * side, bytesPerWeight(name));
  }, 0);
  const told = (halves: number) => onCalibration?.(Math.round(halves * bytes), 2 * bytes);
  const tokens = windows.reduce((sum, window) => sum + window.length, 0);
  const open = opener(host, device, (gpu, kernels, signal) =>
    loadCheckpoint(gpu, config, checkpoint, {
      ...kernels,
      weights,
      context: windows[0]!.length,
      signal,
      onProgress: (loaded, total) => told(loaded / total),
    }),
  );
  for (const losses = new Losses(); ; ) {
    const placed = await open(signal);
    if (placed instanceof DeviceLostError) {
      losses.count({ error: placed, ranOut: false });
      continue;
    }
    try {
      return await placed.model.calibrate(windows, { signal, onProgress: (done) => told(1 + done / tokens) });
    } catch (error) {
      const loss = placed.loss?.();
      if (!loss) throw error;
      losses.count(loss, placed.need);
    } finally {
      release(placed);
    }
  }
}

/**
 * What differs, as little-endian float32 in Base64, and which of it each tensor has; with a sum, since another number would
 * go unnoticed.
 */
function importanceJson(importance: Importance, createSha256: () => Sha256): string {
  const distinct = [...new Set(importance.values())];
  const content = {
    inputs: distinct.map(({ buffer, byteOffset, byteLength }) =>
      encodeBase64(new Uint8Array(buffer, byteOffset, byteLength)),
    ),
    tensors: Object.fromEntries(Array.from(importance, ([name, values]) => [name, distinct.indexOf(values)])),
  };
  return JSON.stringify({ sha256: sumOf(content, createSha256()), ...content });
}

/** @throws StorageError for one that is not of these matrices, or whose numbers packRows() would refuse. */
function parseImportance(
  { sha256, ...content }: JsonObject,
  inputs: Inputs,
  createSha256: () => Sha256,
  damage: Damage,
): Importance {
  const { inputs: texts, tensors } = content;
  if (!isObject(tensors) || !Array.isArray(texts) || sumOf(content, createSha256()) !== sha256)
    throw damage();
  const columns = new Map(inputs.tensors.map(({ name, shape }) => [name, shape[1]]));
  // Of the embeddings only where they are the head too.
  const all = inputs.tensors.filter(({ name, shape }) => shape.length === 2 && name !== EMBEDDING);
  if (!all.every(({ name }) => Object.hasOwn(tensors, name))) throw damage();
  const distinct = texts.map((base64) => {
    const bytes = decodeBase64(String(base64));
    if (!bytes || bytes.length % 4 !== 0) throw damage();
    return new Float32Array(bytes.buffer);
  });
  return new Map(
    Object.entries(tensors).map(([name, index]) => {
      const values = distinct[Number(index)];
      const wanted = columns.get(name);
      if (!values || wanted === undefined || values.length !== (2 + PRINCIPAL) * wanted) throw damage();
      // Mean squares come first.
      const sound = (value: number, i: number) => Number.isFinite(value) && (i >= wanted || value >= 0);
      if (!values.every(sound)) throw damage();
      return [name, values];
    }),
  );
}

function sumOf(content: JsonObject, sha256: Sha256): string {
  sha256.update(new TextEncoder().encode(JSON.stringify(content)));
  return sha256.hex();
}
