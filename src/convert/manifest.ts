import { isObject, type JsonObject, parseObject } from "../checkpoint/json.ts";
import { packingMetadata } from "../checkpoint/packed.ts";
import {
  type ByteSource,
  checkFileName,
  INDEX,
  INDEX_LIMIT,
  type OpenFile,
  readText,
} from "../checkpoint/source.ts";
import { CheckpointError } from "../errors.ts";
import { show } from "../show.ts";
import type { WeightFormat } from "../stored.ts";
import type { PlannedShard } from "./plan.ts";

/** A file by its contents. */
export interface FileSum {
  readonly name: string;
  /** In bytes. */
  readonly size: number;
  /** SHA-256 in lower-case hexadecimal. */
  readonly sha256: string;
}

/** What the index of a converted checkpoint says of its files, and of what they were made from. */
export interface Sums {
  readonly shards: readonly FileSum[];
  /** Config, tokenizer and what else there is beside the weights. */
  readonly files: readonly FileSum[];
  readonly sources: readonly FileSum[];
}

/** SHA-256 over bytes that come in pieces: the host's, since Web Crypto wants a file at once. */
export interface Sha256 {
  update(bytes: Uint8Array): void;
  hex(): string;
}

/** Bytes that are read and hashed at a time. */
const HASH_BYTES = 8 * 1024 * 1024;

/** The text of the index: HF's weight_map, and in its metadata the sums. */
export function indexJson(
  format: WeightFormat,
  plan: readonly PlannedShard[],
  { shards, files, sources }: Sums,
): string {
  const weightMap = Object.fromEntries(
    plan.flatMap(({ file, tensors }) => tensors.map(({ name }) => [name, file])),
  );
  const packing = packingMetadata(format);
  const total = plan.reduce((sum, { size, header }) => sum + size - header.length, 0);
  const metadata = { total_size: total, ...packing, shards, files, sources };
  return `${JSON.stringify({ metadata, weight_map: weightMap }, undefined, 1)}\n`;
}

/**
 * What an index says of the files.
 * @throws CheckpointError when it says nothing, as those that other programs wrote.
 */
export async function readSums(index: ByteSource): Promise<Sums> {
  const { metadata, weight_map: weightMap } = parseObject(await readText(index, INDEX_LIMIT), index.name);
  if (isObject(metadata)) {
    const [shards, files, sources] = ["shards", "files", "sources"].map((key) =>
      sumsOf(metadata, key, index.name),
    );
    if (shards && sources) {
      expectSameShards(shards, weightMap, index.name);
      // The first conversions noted no sums of the files beside the shards.
      const sums = { shards, files: files ?? [], sources };
      expectPlainNames([...sums.shards, ...sums.files], index.name);
      return sums;
    }
  }
  throw new CheckpointError(
    `${index.name} has no checksums of its shards: ziya convert writes them, and this checkpoint is by another program.`,
  );
}

function sumsOf(metadata: JsonObject, key: string, file: string): FileSum[] | undefined {
  const sums = metadata[key];
  if (!Array.isArray(sums)) return undefined;
  return sums.map((value: unknown) => {
    const sum = parseSum(value);
    if (sum) return sum;
    throw new CheckpointError(`${file} has a checksum that is none: ${show(value)}.`);
  });
}

/** Undefined for what is no sum of a file. */
export function parseSum(value: unknown): FileSum | undefined {
  const { name, size, sha256 } = isObject(value) ? value : {};
  if (typeof name !== "string" || typeof size !== "number" || typeof sha256 !== "string") return undefined;
  const valid = Number.isSafeInteger(size) && size >= 0 && /^[0-9a-f]{64}$/.test(sha256);
  return valid ? { name, size, sha256 } : undefined;
}

/** Files of the folder itself, each of them once: they are opened by these names. */
function expectPlainNames(sums: readonly FileSum[], file: string): void {
  const names = new Set<string>();
  for (const { name } of sums) {
    checkFileName(name, file);
    if (names.has(name)) throw new CheckpointError(`${file} has two checksums of ${name}; wanted one.`);
    names.add(name);
  }
}

/** A shard without a sum is read like the others, and one that is not read would be checked for nothing. */
function expectSameShards(shards: readonly FileSum[], weightMap: unknown, file: string): void {
  const summed = new Set(shards.map(({ name }) => name));
  const read = new Set(Object.values(isObject(weightMap) ? weightMap : {}));
  const all = [...new Set<unknown>([...summed, ...read])];
  const found = all.find((name) => !read.has(name) || typeof name !== "string" || !summed.has(name));
  if (found === undefined) return;
  const stranger = typeof found === "string" ? found : show(found);
  throw new CheckpointError(
    `${file} has ${summed.has(stranger) ? "a checksum" : "tensors"} of ${stranger} and no ` +
      `${summed.has(stranger) ? "tensors in it" : "checksum of it"}: the index was changed, so fetch it again, or convert again.`,
  );
}

/** The sum of a whole file, read piece by piece. */
export async function hashSource(
  source: ByteSource,
  sha256: Sha256,
  onProgress?: (bytes: number) => void,
): Promise<FileSum> {
  for (let at = 0; at < source.size; at += HASH_BYTES) {
    const bytes = await source.read(at, Math.min(HASH_BYTES, source.size - at));
    sha256.update(bytes);
    onProgress?.(bytes.length);
  }
  return { name: source.name, size: source.size, sha256: sha256.hex() };
}

/**
 * Holds every file of a converted checkpoint to its index, and returns what the index says.
 * @throws CheckpointError at the first that is missing, of another size or of other contents.
 */
export async function verifyFiles(
  open: OpenFile,
  createSha256: () => Sha256,
  onProgress?: (bytes: number, total: number) => void,
): Promise<Sums> {
  const index = await open(INDEX);
  if (!index) {
    throw new CheckpointError(
      `The folder has no ${INDEX}: it is no converted checkpoint, or the conversion is not finished.`,
    );
  }
  const sums = await readSums(index);
  const all = [...sums.shards, ...sums.files];
  const total = all.reduce((sum, { size }) => sum + size, 0);
  let done = 0;
  for (const { name, size, sha256 } of all) {
    const source = await open(name);
    if (source?.size !== size) {
      throw new CheckpointError(
        `${name} ${source ? `has ${source.size} bytes` : "is missing"}; ${index.name} says ${size}: fetch it again, or convert again.`,
      );
    }
    const found = await hashSource(source, createSha256(), (bytes) => {
      done += bytes;
      onProgress?.(done, total);
    });
    if (found.sha256 !== sha256) {
      throw new CheckpointError(
        `${name} has the SHA-256 ${found.sha256}; ${index.name} says ${sha256}: it is damaged, so fetch it again, or ` +
          `convert again.`,
      );
    }
  }
  return sums;
}

/** One sum for all weights, whatever names and order the sources had: equal for equal shards. */
export function sumOfSums(shards: readonly FileSum[], sha256: Sha256): string {
  sha256.update(new TextEncoder().encode(shards.map((shard) => `${shard.sha256}\n`).join("")));
  return sha256.hex();
}
