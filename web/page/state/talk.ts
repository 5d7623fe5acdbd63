import type { FinishReason, GenerationResult } from "../../../src/index.ts";

/** One message of a conversation. */
export interface Turn {
  readonly id: string;
  readonly role: "user" | "assistant";
  content: string;
  /** Of an answer: how it ended; undefined while it comes, and where the page was closed in the middle of it. */
  finish?: FinishReason | "error";
  usage?: GenerationResult["usage"];
  timings?: GenerationResult["timings"];
  /** The model that gave the answer. */
  model?: string;
}

export interface Talk {
  id: string;
  title: string;
  /** Whether the title is the person's own. */
  named: boolean;
  readonly created: number;
  changed: number;
  /** Which writing of it this is; one of another tab has another. Undefined before the first. */
  version?: string;
  turns: Turn[];
}

const LONGEST_TITLE = 48;

/** Bounds of a file that is imported: more is none of ours. */
const MOST = { talks: 10_000, turns: 10_000, characters: 10_000_000 };

export function newId(): string {
  return crypto.randomUUID();
}

export function newTalk(): Talk {
  const now = Date.now();
  return { id: newId(), title: "", named: false, created: now, changed: now, turns: [] };
}

/** A title of a question: its first line, cut between characters. */
export function titleOf(question: string): string {
  const [line = ""] = question.trim().split("\n");
  const characters = [...line];
  return characters.length <= LONGEST_TITLE ? line : `${characters.slice(0, LONGEST_TITLE - 1).join("")}…`;
}

/** With a title of the person's own; without one it has that of its first question. */
export function entitle(talk: Talk, own: string): Talk {
  return { ...talk, named: own !== "", title: own || titleOf(talk.turns[0]?.content ?? "") };
}

/** What makes it a conversation of its own beside others of these titles, of which a list shows the beginnings. */
export function branchOf(talk: Talk, titles: readonly string[]): Pick<Talk, "id" | "named" | "title"> {
  const { title: first } = entitle(talk, talk.named ? talk.title : "");
  let title = first;
  for (let count = 2; titles.includes(title); count++) title = `(${count}) ${first}`;
  return { id: newId(), named: true, title };
}

/** What is exported: the same text imports again, here or elsewhere. */
export function exportTalks(talks: readonly Talk[]): string {
  return JSON.stringify({ format: "ziya-conversations", version: 1, conversations: talks }, null, 2);
}

/**
 * Reads what `exportTalks` wrote. Every conversation has a new id, so that an import never replaces one.
 * @returns undefined where the text is something else.
 */
export function importTalks(text: string): Talk[] | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isObject(json) || json.format !== "ziya-conversations" || json.version !== 1) return undefined;
  const { conversations } = json;
  if (!Array.isArray(conversations) || conversations.length > MOST.talks) return undefined;
  const talks = conversations.map(readTalk);
  return talks.every((talk) => talk !== undefined) ? talks : undefined;
}

function readTalk(json: unknown): Talk | undefined {
  if (!isObject(json) || !isText(json.title) || !Array.isArray(json.turns)) return undefined;
  if (json.turns.length > MOST.turns) return undefined;
  const turns = json.turns.map(readTurn);
  if (!turns.every((turn) => turn !== undefined)) return undefined;
  const now = Date.now();
  const time = (value: unknown) => (typeof value === "number" && value >= 0 && value <= now ? value : now);
  return {
    id: newId(),
    title: json.title,
    named: json.named === true,
    created: time(json.created),
    changed: time(json.changed),
    turns,
  };
}

const FINISHES: readonly unknown[] = ["stop", "length", "abort", "error"];

function readTurn(json: unknown): Turn | undefined {
  if (!isObject(json) || !isText(json.content)) return undefined;
  if (json.role !== "user" && json.role !== "assistant") return undefined;
  const turn: Turn = { id: newId(), role: json.role, content: json.content };
  if (FINISHES.includes(json.finish)) turn.finish = json.finish as NonNullable<Turn["finish"]>;
  if (isText(json.model)) turn.model = json.model;
  return turn;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value.length <= MOST.characters;
}
