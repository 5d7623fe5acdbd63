import { isObject, type JsonObject } from "../checkpoint/json.ts";
import { TokenizerError } from "../errors.ts";
import { show } from "../show.ts";

/** The largest JSON file of a tokenizer that is read; Ziya's tokenizer.json has 2 MB, the largest published ones 35 MB. */
const MAX_JSON_BYTES = 40 * 1024 * 1024;

/** Parses UTF-8 JSON whose top is an object. Throws TokenizerError with the file's name. */
export function parseJsonObject(bytes: Uint8Array, name: string): JsonObject {
  if (bytes.length > MAX_JSON_BYTES) {
    throw new TokenizerError(`${name} has ${bytes.length} bytes; up to ${MAX_JSON_BYTES} are read.`);
  }
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new TokenizerError(`${name} is not JSON in UTF-8. Fetch the file again.`, { cause });
  }
  return asObject(value, name);
}

/** `where` is the file and the key, for the message. */
export function asObject(value: unknown, where: string): JsonObject {
  if (!isObject(value)) throw wrong(where, "an object", value);
  return value;
}

export function asArray(value: unknown, where: string): readonly unknown[] {
  if (!Array.isArray(value)) throw wrong(where, "an array", value);
  return value;
}

export function asString(value: unknown, where: string): string {
  if (typeof value !== "string") throw wrong(where, "a string", value);
  return value;
}

/** A boolean; what is absent or null is `fallback`. */
export function asBoolean(value: unknown, fallback: boolean, where: string): boolean {
  if (value === undefined || value === null) return fallback;
  if (typeof value !== "boolean") throw wrong(where, "true or false", value);
  return value;
}

export function asId(value: unknown, where: string): number {
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0)
    throw wrong(where, "a token id", value);
  return value;
}

function wrong(where: string, want: string, found: unknown): TokenizerError {
  return new TokenizerError(`${where} should be ${want}, and is ${show(found)}.`);
}
