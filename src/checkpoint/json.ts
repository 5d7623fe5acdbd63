import { CheckpointError } from "../errors.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

/**
 * An object written as JSON, refusing a key that stands twice in one object: `JSON.parse` would silently keep the
 * last, so that two readers of one file could see different tensors.
 * @param what the text's name in messages
 */
export function parseObject(text: string, what: string): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CheckpointError(
      `${what} is not JSON (${cause instanceof Error ? cause.message : cause}): the file is damaged, so fetch it again.`,
      { cause },
    );
  }
  if (!isObject(value)) throw new CheckpointError(`${what} is JSON but not an object; wanted {...}.`);
  const twice = repeatedKey(text);
  if (twice !== undefined) {
    throw new CheckpointError(
      `${what} holds the key ${JSON.stringify(twice.slice(0, 200))} twice in one object.`,
    );
  }
  return value;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The first key that an object of valid JSON holds twice. */
function repeatedKey(text: string): string | undefined {
  const objects: (Set<string> | undefined)[] = []; // the keys of each open object; undefined for an open array
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === "{") objects.push(new Set());
    else if (character === "[") objects.push(undefined);
    else if (character === "}" || character === "]") objects.pop();
    else if (character === '"') {
      const start = at++;
      for (; text[at] !== '"'; at++) if (text[at] === "\\") at++;
      let next = at + 1;
      while (WHITESPACE.includes(text[next]!)) next++;
      if (text[next] !== ":") continue;
      const key: string = JSON.parse(text.slice(start, at + 1));
      const keys = objects.at(-1);
      if (keys?.has(key)) return key;
      keys?.add(key);
    }
  }
  return undefined;
}

/** What JSON allows between a key and its colon. */
const WHITESPACE = " \t\n\r";
