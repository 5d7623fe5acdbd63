import { isObject, type JsonObject, parseObject } from "../checkpoint/json.ts";
import { TEXT_LIMIT } from "../checkpoint/source.ts";
import { TokenizerError } from "../errors.ts";
import { show } from "../show.ts";
import { decodeUtf8 } from "../utf8.ts";

/**
 * Commas and opening brackets of one file: half a million merges, two pieces each, take 1.5 million, and 128,000 added
 * tokens one million. A value of three bytes takes seventy of memory, so that bytes alone bound nothing.
 */
const MAX_JSON_VALUES = 1 << 22;
const [COMMA, BRACKET, BRACE] = [0x2c, 0x5b, 0x7b];

/** An object written as JSON in UTF-8, bounded and read as `parseObject` does. Throws TokenizerError with the file's name. */
export function parseJsonObject(bytes: Uint8Array, name: string): JsonObject {
  if (bytes.length > TEXT_LIMIT) {
    throw new TokenizerError(`${name} has ${bytes.length} bytes; up to ${TEXT_LIMIT} are read.`);
  }
  let values = 0;
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at]!;
    if (byte === COMMA || byte === BRACKET || byte === BRACE) values++;
  }
  if (values > MAX_JSON_VALUES) {
    throw new TokenizerError(`${name} has ${values} values; up to ${MAX_JSON_VALUES} are read.`);
  }
  const fault = (cause: unknown) =>
    new TokenizerError(`${name} is not JSON in UTF-8. Fetch the file again.`, { cause });
  return parseObject(decodeUtf8(bytes, fault), name, TokenizerError);
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
