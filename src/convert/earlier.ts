import { isObject, type JsonObject } from "../checkpoint/json.ts";
import { type ByteSource, INDEX, UNFINISHED_INDEX } from "../checkpoint/source.ts";
import { CheckpointError, StorageError } from "../errors.ts";
import { scalesOf, type WeightFormat } from "../stored.ts";
import { describeFile, type SourceFile } from "./inputs.ts";
import {
  type Damage,
  damageOf,
  type FinishedShard,
  parseShards,
  parseSources,
  parseSums,
  readJson,
} from "./journal-file.ts";
import { type FileSum, hashSource, readSums, type Sha256, type Sums } from "./manifest.ts";
import type { OutputFolder } from "./output.ts";
import type { PlannedShard } from "./plan.ts";

/** Written into the journal; another number is another layout of it. */
export const VERSION = 2;

/** What decides every byte of the result. */
export interface Conversion {
  readonly weights: WeightFormat;
  readonly shardBytes: number;
  readonly sources: readonly SourceFile[];
}

export interface CheckOptions {
  createSha256(): Sha256;
  readonly signal?: AbortSignal | undefined;
  /** Called while files are held to their sums, with bytes done and in all. */
  readonly onCheck?: ((done: number, total: number) => void) | undefined;
}

/** What a folder says of itself; whether its files are still what it says is another matter. */
interface Earlier {
  /** Whether it has the index of a finished checkpoint. */
  readonly finished: boolean;
  readonly shards: readonly FinishedShard[];
  /** Sums of a finished checkpoint's files beside the shards. */
  readonly files: readonly FileSum[];
  /** Sums of the source files that were read whole. */
  readonly sources: readonly FileSum[];
}

/**
 * What an earlier run left in the folder of a conversion.
 * @throws StorageError when the folder holds anything else than this conversion, begun or finished.
 */
export async function readEarlier(
  folder: OutputFolder,
  conversion: Conversion,
  plan: readonly PlannedShard[],
): Promise<Earlier> {
  const names = await folder.list();
  if (names.includes(INDEX)) return readResult(folder, conversion, plan);
  if (names.includes(UNFINISHED_INDEX)) {
    const damage = damageOf(folder, UNFINISHED_INDEX);
    const found = await readJson(folder, UNFINISHED_INDEX);
    expectSame(folder, found, damage, conversion);
    const shards = parseShards(found.shards, damage);
    const sizes = new Map(plan.map(({ file, size }) => [file, size]));
    if (shards.some(({ sum }) => sizes.get(sum.name) !== sum.size)) throw damage();
    return { finished: false, shards, files: [], sources: parseSums(found.sums, damage) };
  }
  const [stranger] = names.filter((name) => !name.endsWith(".partial"));
  if (stranger !== undefined) {
    throw new StorageError(
      `${folder.name} holds ${stranger} and no conversion that was begun: ${folder.elsewhere}.`,
    );
  }
  return { finished: false, shards: [], files: [], sources: [] };
}

/** @param onRead is told of bytes as they are read; what it throws ends the check. */
export async function isIntact(
  folder: OutputFolder,
  { name, size, sha256 }: FileSum,
  createSha256: () => Sha256,
  onRead?: (bytes: number) => void,
): Promise<boolean> {
  try {
    const source = await folder.open(name);
    return source?.size === size && (await hashSource(source, createSha256(), onRead)).sha256 === sha256;
  } catch (error) {
    // Missing, or unreadable: a file that is written again is then in its place.
    if (error instanceof CheckpointError) return false;
    throw error;
  }
}

/**
 * A finished checkpoint is this conversion's only if it was made from these very files: names and sizes are equal of
 * any two releases.
 * @throws StorageError naming the first source that is another.
 */
export async function expectSameSources(
  folder: OutputFolder,
  sources: readonly SourceFile[],
  reopen: (file: SourceFile) => Promise<ByteSource>,
  { createSha256, signal, onCheck }: CheckOptions,
): Promise<void> {
  const sums = await readResultSums(folder);
  const wanted = new Map(sums.sources.map(({ name, sha256 }) => [name, sha256]));
  const total = sources.reduce((sum, { size }) => sum + size, 0);
  let done = 0;
  for (const file of sources) {
    const { sha256 } = await hashSource(await reopen(file), createSha256(), (bytes) => {
      signal?.throwIfAborted();
      done += bytes;
      onCheck?.(done, total);
    });
    if (sha256 === wanted.get(file.name)) continue;
    throw new StorageError(
      `${folder.name} holds the finished result of another ${file.name}: it was made from one with the SHA-256 ` +
        `${wanted.get(file.name)}, and this one has ${sha256}, so ${folder.elsewhere}.`,
    );
  }
}

/** @throws StorageError telling the first thing in which the journal is of another conversion. */
function expectSame(folder: OutputFolder, found: JsonObject, damage: Damage, wanted: Conversion): void {
  const refuse = (what: string): never => {
    throw new StorageError(
      `${folder.name} holds a conversion that was begun differently: ${what}. Go on with what it was begun with, ` +
        `${folder.anew}, or ${folder.elsewhere}.`,
    );
  };
  if (found.conversion !== VERSION) refuse(`by another version of ziya`);
  if (typeof found.weights !== "string" || typeof found.shard_bytes !== "number") throw damage();
  if (found.weights !== wanted.weights) refuse(`as ${found.weights}, and now as ${wanted.weights}`);
  if (found.shard_bytes !== wanted.shardBytes) {
    refuse(`with shards of ${found.shard_bytes} bytes, and now of ${wanted.shardBytes}`);
  }
  const before = new Map(parseSources(found.sources, damage).map((file) => [file.name, file]));
  for (const file of wanted.sources) {
    const old = before.get(file.name);
    if (!old) refuse(`without ${file.name}`);
    else if (describeFile(old) !== describeFile(file)) {
      refuse(`${file.name} had ${describeFile(old)}, and has ${describeFile(file)} now`);
    }
    before.delete(file.name);
  }
  for (const name of before.keys()) refuse(`with ${name}, which is not there now`);
}

/** @throws StorageError when the finished checkpoint in the folder is not what this conversion would give. */
async function readResult(
  folder: OutputFolder,
  { weights, sources }: Conversion,
  plan: readonly PlannedShard[],
): Promise<Earlier> {
  const { metadata } = await readJson(folder, INDEX);
  const found = isObject(metadata) ? metadata : {};
  const sameFormat = found.weights === (scalesOf(weights) && weights);
  const shards = plan.map(({ file, size }) => ({ name: file, size }));
  if (!sameFormat || !sameSizes(found.shards, shards) || !sameSizes(found.sources, sources)) {
    throw new StorageError(
      `${folder.name} holds a finished checkpoint of another conversion or another program: ${folder.elsewhere}.`,
    );
  }
  const sums = await readResultSums(folder);
  return { finished: true, ...sums, shards: sums.shards.map((sum) => ({ sum })) };
}

/** @throws StorageError for an index that no conversion wrote so. */
async function readResultSums(folder: OutputFolder): Promise<Sums> {
  try {
    return await readSums((await folder.open(INDEX))!);
  } catch (cause) {
    throw damageOf(folder, INDEX)(cause);
  }
}

function sameSizes(sums: unknown, wanted: readonly object[]): boolean {
  const line = (file: unknown) => (isObject(file) ? JSON.stringify([file.name, file.size]) : "");
  return Array.isArray(sums) && String(sums.map(line)) === String(wanted.map(line));
}
