import { join } from "node:path";
import { isObject, type JsonObject } from "../../src/checkpoint/json.ts";
import type { ByteSource } from "../../src/checkpoint/source.ts";
import { INDEX, UNFINISHED_INDEX } from "../../src/checkpoint/source.ts";
import { type FileSum, hashSource, readSums } from "../../src/convert/manifest.ts";
import type { PlannedShard } from "../../src/convert/plan.ts";
import { CheckpointError, StorageError } from "../../src/errors.ts";
import { scalesOf, type WeightFormat } from "../../src/stored.ts";
import { fileSource } from "../files.ts";
import { createSha256 } from "../sha256.ts";
import { describeFile, type SourceFile } from "./inputs.ts";
import {
  damaged,
  type FinishedShard,
  parseShards,
  parseSources,
  parseSums,
  readJson,
} from "./journal-file.ts";
import { listFolder } from "./output.ts";

/** Written into the journal; another number is another layout of it. */
export const VERSION = 2;

/** What decides every byte of the result. */
export interface Conversion {
  readonly weights: WeightFormat;
  readonly shardBytes: number;
  readonly sources: readonly SourceFile[];
}

export interface CheckOptions {
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
  folder: string,
  conversion: Conversion,
  plan: readonly PlannedShard[],
): Promise<Earlier> {
  const names = await listFolder(folder);
  if (names.includes(INDEX)) return readResult(folder, conversion, plan);
  if (names.includes(UNFINISHED_INDEX)) {
    const path = join(folder, UNFINISHED_INDEX);
    const found = await readJson(path);
    expectSame(folder, found, path, conversion);
    const shards = parseShards(found.shards, path);
    const sizes = new Map(plan.map(({ file, size }) => [file, size]));
    if (shards.some(({ sum }) => sizes.get(sum.name) !== sum.size)) throw damaged(path);
    return { finished: false, shards, files: [], sources: parseSums(found.sums, path) };
  }
  const [stranger] = names.filter((name) => !name.endsWith(".partial"));
  if (stranger !== undefined) {
    throw new StorageError(
      `${folder} holds ${stranger} and no conversion that was begun: choose a new or empty folder with --out.`,
    );
  }
  return { finished: false, shards: [], files: [], sources: [] };
}

/** @param onRead is told of bytes as they are read; what it throws ends the check. */
export async function isIntact(
  folder: string,
  { name, size, sha256 }: FileSum,
  onRead?: (bytes: number) => void,
): Promise<boolean> {
  try {
    const source = await fileSource(join(folder, name));
    return source.size === size && (await hashSource(source, createSha256(), onRead)).sha256 === sha256;
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
  folder: string,
  sources: readonly SourceFile[],
  reopen: (file: SourceFile) => Promise<ByteSource>,
  { signal, onCheck }: CheckOptions = {},
): Promise<void> {
  const sums = await readSums(await fileSource(join(folder, INDEX)));
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
      `${folder} holds the finished result of another ${file.name}: it was made from one with the SHA-256 ` +
        `${wanted.get(file.name)}, and this one has ${sha256}. Choose a new or empty folder with --out.`,
    );
  }
}

/** @throws StorageError telling the first thing in which the journal is of another conversion. */
function expectSame(folder: string, found: JsonObject, path: string, wanted: Conversion): void {
  const refuse = (what: string): never => {
    throw new StorageError(
      `${folder} holds a conversion that was begun differently: ${what}. Run the command it was begun with, empty the ` +
        `folder, or choose another one with --out.`,
    );
  };
  if (found.conversion !== VERSION) refuse(`by another version of ziya`);
  if (typeof found.weights !== "string" || typeof found.shard_bytes !== "number") throw damaged(path);
  if (found.weights !== wanted.weights) refuse(`as ${found.weights}, and now as ${wanted.weights}`);
  if (found.shard_bytes !== wanted.shardBytes) {
    refuse(`with shards of ${found.shard_bytes} bytes, and now of ${wanted.shardBytes}`);
  }
  const before = new Map(parseSources(found.sources, path).map((file) => [file.name, file]));
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
  folder: string,
  { weights, sources }: Conversion,
  plan: readonly PlannedShard[],
): Promise<Earlier> {
  const path = join(folder, INDEX);
  const { metadata } = await readJson(path);
  const found = isObject(metadata) ? metadata : {};
  const sameFormat = found.weights === (scalesOf(weights) && weights);
  const shards = plan.map(({ file, size }) => ({ name: file, size }));
  if (!sameFormat || !sameSizes(found.shards, shards) || !sameSizes(found.sources, sources)) {
    throw new StorageError(
      `${folder} holds a finished checkpoint of another conversion or another program: choose a new or empty folder ` +
        `with --out.`,
    );
  }
  const sums = await readSums(await fileSource(path)).catch((cause: unknown) => {
    throw damaged(path, cause);
  });
  return { finished: true, ...sums, shards: sums.shards.map((sum) => ({ sum })) };
}

function sameSizes(sums: unknown, wanted: readonly object[]): boolean {
  const line = (file: unknown) => (isObject(file) ? JSON.stringify([file.name, file.size]) : "");
  return Array.isArray(sums) && String(sums.map(line)) === String(wanted.map(line));
}
