import { CheckpointError, type ZiyaError } from "../errors.ts";
import { show } from "../show.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

/** The error of whoever reads the file. */
type FaultOf = new (message: string, options?: ErrorOptions) => ZiyaError;

/** Deepest nesting that is believed: no file of a checkpoint comes near, and what prints or walks a value recurses. */
const DEPTH_LIMIT = 64;

/**
 * An object written as JSON, refusing a key that stands twice in one object: `JSON.parse` would silently keep the
 * last, so that two readers of one file could see different tensors.
 * @param what the text's name in messages
 * @throws a `Fault` for that, for other text, and for nesting that no checkpoint has.
 */
export function parseObject(text: string, what: string, Fault: FaultOf = CheckpointError): JsonObject {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new Fault(
      `${what} is not JSON (${cause instanceof Error ? cause.message : cause}): the file is damaged, so fetch it again.`,
      { cause },
    );
  }
  if (!isObject(value)) throw new Fault(`${what} is JSON but not an object; wanted {...}.`);
  checkStructure(text, what, Fault);
  return value;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Reads valid JSON once more, for what `JSON.parse` does not tell. */
function checkStructure(text: string, what: string, Fault: FaultOf): void {
  const objects: (Set<string> | undefined)[] = []; // the keys of each open object; undefined for an open array
  for (let at = 0; at < text.length; at++) {
    const character = text[at];
    if (character === "{") objects.push(new Set());
    else if (character === "[") objects.push(undefined);
    else if (character === "}" || character === "]") objects.pop();
    if (objects.length > DEPTH_LIMIT) {
      throw new Fault(
        `${what} is nested more than ${DEPTH_LIMIT} deep: it is no file of a checkpoint, so fetch it again.`,
      );
    }
    if (character === '"') {
      const start = at++;
      for (; text[at] !== '"'; at++) if (text[at] === "\\") at++;
      let next = at + 1;
      while (WHITESPACE.includes(text[next]!)) next++;
      if (text[next] !== ":") continue;
      const written = text.slice(start, at + 1);
      // A vocabulary has half a million keys, and few with an escape in them.
      const key: string = written.includes("\\") ? JSON.parse(written) : written.slice(1, -1);
      const keys = objects.at(-1);
      if (keys?.has(key)) {
        throw new Fault(`${what} holds the key ${show(key)} twice in one object.`);
      }
      keys?.add(key);
    }
  }
}

/** What JSON allows between a key and its colon. */
const WHITESPACE = " \t\n\r";
