import type { Message } from "../../src/index.ts";
import { notSupported } from "./errors.ts";
import type { PromptMessage } from "./types.ts";

/** An input in its long form. */
export interface Prompt {
  /** At least one. */
  readonly messages: readonly Message[];
  /** Whether the last one is the beginning of the answer. */
  readonly prefix: boolean;
}

const ROLES: readonly unknown[] = ["system", "user", "assistant"];
/** Those of the draft that are no text. */
const OTHER_TYPES: readonly unknown[] = ["image", "audio", "tool-call", "tool-response"];

/**
 * Checks an input, and copies it: what the page does to its objects later changes nothing.
 * @throws TypeError, or the DOMException that the draft has: SyntaxError for a prefix in a wrong place, NotSupportedError for
 * what is no text.
 */
export function readPrompt(input: unknown): Prompt {
  if (input === undefined) throw new TypeError("The input is missing; wanted a text, or a list of messages.");
  if (!isList(input)) return { messages: [{ role: "user", content: String(input) }], prefix: false };
  const given = [...input];
  if (given.length === 0) return readPrompt("");
  return {
    messages: given.map(readMessage),
    prefix: given.some((message, i) => hasPrefix(message, i === given.length - 1)),
  };
}

/** As Web IDL tells a sequence from a string. */
function isList(value: unknown): value is Iterable<unknown> {
  return typeof value === "object" && value !== null && Symbol.iterator in value;
}

function hasPrefix(message: unknown, isLast: boolean): boolean {
  const { prefix = false, role } = message as PromptMessage;
  if (prefix && !(isLast && role === "assistant")) {
    throw new DOMException(
      "prefix is set on a message that is not the last, or not the assistant's.",
      "SyntaxError",
    );
  }
  return prefix;
}

function readMessage(message: unknown): Message {
  if (typeof message !== "object" || message === null) {
    throw new TypeError(`A message is ${String(message)}; wanted an object with role and content.`);
  }
  const { role, content } = message as Partial<PromptMessage>;
  if (!ROLES.includes(role)) {
    throw new TypeError(`A message has the role ${String(role)}; wanted ${ROLES.join(", ")}.`);
  }
  if (content === undefined) throw new TypeError("A message has no content; wanted a text.");
  const texts = isList(content) ? Array.from(content, textOf) : [String(content)];
  return { role: role!, content: texts.join("") };
}

function textOf(content: unknown): string {
  const { type, value } = Object(content) as { type?: unknown; value?: unknown };
  if (OTHER_TYPES.includes(type)) {
    throw notSupported(`A message has content of type "${type}"; this model takes text only.`);
  }
  if (type !== "text") {
    throw new TypeError(`A message has content of type ${String(type)}; wanted "text".`);
  }
  if (typeof value !== "string") throw new TypeError("A message has content of type text that is no string.");
  return value;
}

/**
 * Messages as any model takes them: user and assistant in turn, the user first and last. Messages of one role that follow each
 * other become one, a line each, and where a turn of the user's is missing there is an empty one.
 * @param hasSystem Whether the model knows a system role; where not, the instruction begins the first message.
 */
export function inTurns(messages: readonly Message[], hasSystem: boolean): Message[] {
  const turns: Message[] = [];
  const expectUser = () => {
    const { role = "system" } = turns.at(-1) ?? {};
    if (role !== "user") turns.push({ role: "user", content: "" });
  };
  for (const { role: given, content } of messages) {
    const role = given === "system" && !hasSystem ? "user" : given;
    const last = turns.at(-1);
    if (last?.role === role) turns[turns.length - 1] = { role, content: `${last.content}\n${content}` };
    else {
      if (role === "assistant") expectUser();
      turns.push({ role, content });
    }
  }
  expectUser();
  return turns;
}

/** Turns without the oldest: a message of the user's and the answers to it. */
export function withoutOldest(turns: readonly Message[]): readonly Message[] {
  const next = turns.findIndex(({ role }, i) => i > 0 && role === "user");
  return next < 0 ? [] : turns.slice(next);
}
