import { isObject, type JsonObject, parseObject } from "../checkpoint/json.ts";
import { decodeText } from "../checkpoint/source.ts";
import { StorageError } from "../errors.ts";
import type { SourceFile } from "./inputs.ts";
import { type FileSum, parseSum } from "./manifest.ts";
import type { OutputFolder } from "./output.ts";
import type { QuantisationError } from "./report.ts";

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
export async function readJson(folder: OutputFolder, name: string): Promise<JsonObject> {
  const path = folder.path(name);
  let bytes: Uint8Array;
  try {
    const file = await folder.open(name);
    if (!file) throw new StorageError(`${path} is gone.`);
    bytes = await file.read(0, file.size);
  } catch (cause) {
    throw new StorageError(`${(cause as Error).message} Make it readable, or ${folder.elsewhere}.`, {
      cause,
    });
  }
  try {
    return parseObject(decodeText(bytes, path), path);
  } catch (cause) {
    throw damageOf(folder, name)(cause);
  }
}

/** A file of a conversion that no conversion wrote so; what it said cannot be told. */
export type Damage = (cause?: unknown) => StorageError;

export function damageOf(folder: OutputFolder, name: string): Damage {
  return (cause) => new StorageError(`${folder.path(name)} is damaged: ${folder.anew}.`, { cause });
}

/** @throws StorageError for what is no list of them. */
export function parseSources(value: unknown, damage: Damage): SourceFile[] {
  return listOf(value, damage, (file) => {
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
export function parseShards(value: unknown, damage: Damage): FinishedShard[] {
  return listOf(isObject(value) && Object.values(value), damage, (shard) => {
    if (!isObject(shard)) return undefined;
    const sum = parseSum(shard.sum);
    if (!sum || shard.errors === undefined) return sum && { sum };
    const errors = isObject(shard.errors) ? Object.entries(shard.errors) : [[]];
    return errors.every(([, error]) => isError(error)) ? { sum, errors: shard.errors as Errors } : undefined;
  });
}

/** @throws StorageError for what is no table of them. */
export function parseSums(value: unknown, damage: Damage): FileSum[] {
  return listOf(isObject(value) && Object.values(value), damage, parseSum);
}

function isError(value: unknown): boolean {
  const numbers = ["weights", "bytes", "squares", "squaredError"];
  return isObject(value) && numbers.every((key) => Number.isFinite(value[key]));
}

function listOf<T>(value: unknown, damage: Damage, parse: (item: unknown) => T | undefined): T[] {
  if (!Array.isArray(value)) throw damage();
  return value.map((item: unknown) => {
    const parsed = parse(item);
    if (parsed === undefined) throw damage();
    return parsed;
  });
}
