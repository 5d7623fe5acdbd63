import { OptionError } from "../errors.ts";
import { show } from "../show.ts";

/** The numbers that an option may have, ends included. */
export interface Range {
  readonly kind: "number";
  readonly least: number;
  readonly most: number;
  readonly integer: boolean;
}

export function number(least: number, most: number): Range {
  return { kind: "number", least, most, integer: false };
}

export function integer(least: number, most: number): Range {
  return { kind: "number", least, most, integer: true };
}

/** What an option may be: a "size" is bounded by the model, which checks it, and so do those who take "other" values. */
type Kind =
  | Range
  | { readonly kind: "choice"; readonly choices: readonly string[] }
  | { readonly kind: "text" | "texts" | "boolean" | "signal" | "size" | "other" };

/** Of an option: what the library takes for it, and what the command line and generation_config.json call it. */
export type Option = Kind & {
  /** What a value stands for in the command line's help ("" of a switch), that help, and the flag where it is no --top-k of "top_k". */
  readonly flag?: readonly [value: string, help: string, name?: string];
  /** What it is where nobody says: of the others, the checkpoint does. */
  readonly default?: number;
  /** The key in generation_config.json. */
  readonly key?: string;
};
export type OptionTable = Readonly<Record<string, Option>>;

/** Stop strings are searched for in every piece of text: more and longer ones than these are a mistake. */
const MOST_TEXTS = 64;
const LONGEST_TEXT = 1024;

/**
 * @param what How the message calls an option of this table.
 * @throws OptionError for a name that the table has not, or a value that it does not allow; undefined is none.
 */
export function checkOptions(given: object, table: OptionTable, what: string): void {
  for (const [name, value] of Object.entries(given)) {
    const option = Object.hasOwn(table, name) ? table[name] : undefined;
    if (!option) {
      throw new OptionError(`There is no ${what} ${show(name)}; there are ${Object.keys(table).join(", ")}.`);
    }
    if (value !== undefined) checkOption(name, value, option);
  }
}

/**
 * @param name How the message calls the option.
 * @throws OptionError telling what was wanted and what was found.
 */
export function checkOption(name: string, value: unknown, option: Option): void {
  if (option.kind === "texts") checkTexts(name, Array.isArray(value) ? value : [value]);
  const [fits, wanted] = judge(value, option);
  if (!fits) throw new OptionError(`${name} is ${show(value)}; wanted ${wanted}.`);
}

function judge(value: unknown, option: Option): [fits: boolean, wanted?: string] {
  switch (option.kind) {
    case "number": {
      const { least, most, integer } = option;
      const isWithin = typeof value === "number" && value >= least && value <= most;
      const wanted = `${integer ? "an integer" : "a number"} from ${least} to ${most}`;
      return [isWithin && (!integer || Number.isInteger(value)), wanted];
    }
    case "choice":
      return [(option.choices as readonly unknown[]).includes(value), option.choices.join(", ")];
    case "text":
      return [typeof value === "string", "a text"];
    case "boolean":
      return [typeof value === "boolean", "true or false"];
    case "signal":
      return [isAbortSignal(value), "an AbortSignal"];
    default:
      return [true];
  }
}

/** Whether everything is there that an answer calls: a signal may come from another realm, so its class tells nothing. */
function isAbortSignal(value: unknown): boolean {
  const signal = value as AbortSignal | null;
  const methods = [signal?.addEventListener, signal?.removeEventListener, signal?.throwIfAborted];
  return typeof signal?.aborted === "boolean" && methods.every((method) => typeof method === "function");
}

function checkTexts(name: string, texts: readonly unknown[]): void {
  if (texts.length > MOST_TEXTS) {
    throw new OptionError(`${name} has ${texts.length} strings; wanted at most ${MOST_TEXTS}.`);
  }
  for (const text of texts) {
    if (typeof text !== "string" || text.length === 0 || text.length > LONGEST_TEXT) {
      throw new OptionError(
        `${name} has ${show(text)}; wanted strings of 1 to ${LONGEST_TEXT} characters, one or a list of them.`,
      );
    }
    if (/\p{Surrogate}/u.test(text)) {
      throw new OptionError(`${name} has ${show(text)}, which holds half a character; wanted whole ones.`);
    }
  }
}
