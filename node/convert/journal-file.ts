import { readFile } from "node:fs/promises";
import { isObject, type JsonObject, parseObject } from "../../src/checkpoint/json.ts";
import { type FileSum, parseSum } from "../../src/convert/manifest.ts";
import type { QuantisationError } from "../../src/convert/report.ts";
import { StorageError } from "../../src/errors.ts";
import type { SourceFile } from "./inputs.ts";

/** By tensor name, what packing did to the matrices of a shard. */
export type Errors = Readonly<Record<string, QuantisationError>>;

export interface FinishedShard {
  readonly sum: FileSum;
  /** Not known of a finished checkpoint's, whose index has the sums only. */
  readonly errors?: Errors;
}

/** Latest time that JavaScript can name, in milliseconds. */
const LAST_TIME = 8.64e15;

/** @throws StorageError when it cannot be read or is no JSON object: conversions write nothing else there. */
export async function readJson(path: string): Promise<JsonObject> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new StorageError(
      `${path} could not be read: ${(cause as Error).message}. Make it readable, or choose another folder with --out.`,
      { cause },
    );
  }
  try {
    return parseObject(text, path);
  } catch (cause) {
    throw damaged(path, cause);
  }
}

/** A file of a conversion that no conversion wrote so; what it said cannot be told. */
export function damaged(path: string, cause?: unknown): StorageError {
  return new StorageError(`${path} is damaged: empty the folder and begin again.`, { cause });
}

/** @throws StorageError for what is no list of them. */
export function parseSources(value: unknown, path: string): SourceFile[] {
  return listOf(value, path, (file) => {
    const { name, size, modified } = isObject(file) ? file : {};
    if (typeof name !== "string" || !Number.isSafeInteger(size)) return undefined;
    const known = { name, size: Number(size) };
    if (modified === undefined) return known;
    return typeof modified === "number" && Math.abs(modified) <= LAST_TIME
      ? { ...known, modified }
      : undefined;
  });
}

/** @throws StorageError for what is no table of them. */
export function parseShards(value: unknown, path: string): FinishedShard[] {
  return listOf(isObject(value) && Object.values(value), path, (shard) => {
    if (!isObject(shard)) return undefined;
    const sum = parseSum(shard.sum);
    if (!sum || shard.errors === undefined) return sum && { sum };
    const errors = isObject(shard.errors) ? Object.entries(shard.errors) : [[]];
    return errors.every(([, error]) => isError(error)) ? { sum, errors: shard.errors as Errors } : undefined;
  });
}

/** @throws StorageError for what is no table of them. */
export function parseSums(value: unknown, path: string): FileSum[] {
  return listOf(isObject(value) && Object.values(value), path, parseSum);
}

function isError(value: unknown): boolean {
  const numbers = ["weights", "bytes", "squares", "squaredError"];
  return isObject(value) && numbers.every((key) => Number.isFinite(value[key]));
}

function listOf<T>(value: unknown, path: string, parse: (item: unknown) => T | undefined): T[] {
  if (!Array.isArray(value)) throw damaged(path);
  return value.map((item: unknown) => {
    const parsed = parse(item);
    if (parsed === undefined) throw damaged(path);
    return parsed;
  });
}
