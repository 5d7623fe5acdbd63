import { CheckpointError } from "../errors.ts";
import { show } from "../show.ts";
import type { WeightFormat } from "../stored.ts";
import { type Checkpoint, findTensor, type TensorInfo } from "./checkpoint.ts";
import { isObject, parseObject } from "./json.ts";
import { type ByteSource, checkFileName, INDEX_LIMIT, type OpenFile, readText } from "./source.ts";

/** More shards than any release has: 28 are Ziya's. */
const SHARD_LIMIT = 4096;
/**
 * Bytes of all shards together that say what is in them, each bounded by itself: a few kilobytes for a shard of
 * safetensors, and the last 64 of a PyTorch file.
 */
const HEADERS_LIMIT = 32 * 1024 * 1024;
/** Missing shards that a message names. */
const NAMED_LIMIT = 64;

/**
 * A checkpoint in several files, as HF writes it: `index` is `*.index.json`, whose weight_map says which file holds
 * which tensor.
 * @param openShard reads one of the files as a checkpoint of its own
 * @throws CheckpointError when the index names a file or tensor that is not there, or two files hold one tensor.
 */
export async function openShards(
  index: ByteSource,
  open: OpenFile,
  openShard: (source: ByteSource) => Promise<Checkpoint>,
): Promise<Checkpoint> {
  const weightMap = parseWeightMap(await readText(index, INDEX_LIMIT), index.name);
  const shards = new Map<string, Checkpoint>();
  const sources = await openAll(index, open, new Set(weightMap.values()));
  const counted = countOpening(index.name);
  for (const [file, source] of sources) shards.set(file, await counted(source, openShard));

  const tensors = new Map<string, TensorInfo>();
  const holders = new Map<string, Checkpoint>();
  for (const shard of shards.values()) {
    for (const [name, tensor] of shard.tensors) {
      const other = holders.get(name);
      if (other) {
        throw new CheckpointError(
          `${name} is both in ${other.name} and in ${shard.name}: the shards are of different downloads, so fetch them again.`,
        );
      }
      tensors.set(name, tensor);
      holders.set(name, shard);
    }
  }
  for (const [name, file] of weightMap) {
    if (holders.get(name) === shards.get(file)) continue;
    throw new CheckpointError(
      `${index.name} puts ${name} into ${file}, and it is ` +
        `${holders.has(name) ? `in ${holders.get(name)!.name}` : "in none of the files"}: index and shards are of ` +
        `different downloads, so fetch them again.`,
    );
  }

  const holderOf = (name: string): Checkpoint => {
    findTensor(checkpoint, name);
    return holders.get(name)!;
  };
  const format = packedFormat(index.name, [...shards.values()]);
  const checkpoint: Checkpoint = {
    name: index.name,
    tensors,
    fileOf: (name) => holderOf(name).name,
    readRows: async (name, first, count) => holderOf(name).readRows(name, first, count),
    readHalves: async (name, first, count) => holderOf(name).readHalves?.(name, first, count),
    ...(format && {
      packed: {
        format,
        readRows: async (name, first, count) => holderOf(name).packed!.readRows(name, first, count),
      },
    }),
  };
  return checkpoint;
}

/** Opens one shard after the other, and counts what is read for that. */
function countOpening(index: string) {
  let left = HEADERS_LIMIT;
  return async (
    source: ByteSource,
    open: (source: ByteSource) => Promise<Checkpoint>,
  ): Promise<Checkpoint> => {
    let opening = true;
    const checkpoint = await open({
      name: source.name,
      size: source.size,
      read(offset, length, signal) {
        if (opening) left -= length;
        if (left >= 0) return source.read(offset, length, signal);
        throw new CheckpointError(
          `The shards of ${index} have more than ${HEADERS_LIMIT} bytes of headers, at ${source.name}: no checkpoint comes ` +
            `near, so fetch it again.`,
        );
      },
    });
    opening = false;
    return checkpoint;
  };
}

/** All of the files by name, before one of them is read: whoever lacks some hears of all. */
async function openAll(
  index: ByteSource,
  open: OpenFile,
  files: ReadonlySet<string>,
): Promise<Map<string, ByteSource>> {
  const sources = new Map<string, ByteSource>();
  const missing: string[] = [];
  for (const file of files) {
    const source = await open(file);
    if (source) sources.set(file, source);
    else missing.push(file);
  }
  if (missing.length === 0) return sources;
  const more = missing.length - NAMED_LIMIT;
  const names = `${missing.slice(0, NAMED_LIMIT).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
  throw new CheckpointError(
    `${index.name} puts tensors into ${names}, ` +
      `${missing.length === 1 ? "which is not there: fetch that file" : "which are not there: fetch those files"} too.`,
  );
}

/** How the shards are packed, which is one way or not at all. */
function packedFormat(file: string, shards: readonly Checkpoint[]): WeightFormat | undefined {
  const formats = new Set(shards.map(({ packed }) => packed?.format));
  if (formats.size === 1) return shards[0]!.packed?.format;
  throw new CheckpointError(
    `The shards of ${file} are stored as ${[...formats].map((format) => format ?? "plain").join(" and ")}: they are of ` +
      `different conversions, so convert the model again.`,
  );
}

export function parseWeightMap(text: string, file: string): Map<string, string> {
  const { weight_map: weightMap } = parseObject(text, file);
  if (!isObject(weightMap)) {
    throw new CheckpointError(`${file} has no weight_map; wanted {"weight_map": {tensor: file}}.`);
  }
  const holders = new Map<string, string>();
  for (const [name, holder] of Object.entries(weightMap)) {
    if (typeof holder !== "string") {
      throw new CheckpointError(`${file} maps ${show(name)} to ${typeof holder}; wanted a file name.`);
    }
    checkFileName(holder, file);
    holders.set(name, holder);
  }
  const count = new Set(holders.values()).size;
  if (count === 0 || count > SHARD_LIMIT) {
    throw new CheckpointError(`${file} names ${count} shards; wanted between 1 and ${SHARD_LIMIT}.`);
  }
  return holders;
}
