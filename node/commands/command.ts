import type { Readable, Writable } from "node:stream";
import { parseArgs } from "node:util";
import { visible } from "./visible.ts";

/** What a command line or the lines on stdin have wrong; ends with exit code 2. */
export class UsageError extends Error {}

/** Exit codes that scripts can use. */
export const EXIT = { ok: 0, failure: 1, usage: 2, interrupted: 130 } as const;

/** A terminal, or what a test puts in its place. */
export interface Io {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly stderr: Writable & { readonly isTTY?: boolean };
}

interface Flag {
  /** What the value stands for in the help, such as "DIR"; a flag without one is a switch. */
  readonly value?: string;
  readonly multiple?: boolean;
  readonly help: string;
}

export type Flags = Readonly<Record<string, Flag>>;

/** The flags of a command line as they were given. */
export class Values {
  private readonly values: Readonly<Record<string, unknown>>;

  constructor(values: Readonly<Record<string, unknown>>) {
    this.values = values;
  }

  text(name: string): string | undefined {
    return this.values[name] as string | undefined;
  }

  texts(name: string): readonly string[] | undefined {
    return this.values[name] as string[] | undefined;
  }

  on(name: string): boolean {
    return this.values[name] === true;
  }

  /** @throws UsageError for what is no number. */
  number(name: string): number | undefined {
    const text = this.text(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (text.trim() === "" || Number.isNaN(value)) {
      throw new UsageError(`--${name} is ${JSON.stringify(text)}; wanted a number.`);
    }
    return value;
  }

  /** @throws UsageError when the flag is missing. */
  required(name: string): string {
    const text = this.text(name);
    if (text === undefined) throw new UsageError(`--${name} is missing.`);
    return text;
  }
}

interface Invocation {
  readonly values: Values;
  readonly positionals: readonly string[];
  readonly io: Io;
}

export interface Command {
  /** The name, and what it takes besides flags: "chat [PROMPT]". */
  readonly usage: string;
  /** One line. */
  readonly summary: string;
  /** The rest of the help. */
  readonly details: string;
  readonly flags: Flags;
  /** The most positional arguments. */
  readonly positionals: number;
  /** Returns the exit code. */
  run(invocation: Invocation): Promise<number>;
}

const HELP_FLAG: Flags = { help: { help: "Show this help and end." } };

/** @throws UsageError for unknown flags, missing values and arguments too many. */
export function parseCommandLine(command: Command, args: readonly string[]): Omit<Invocation, "io"> {
  const broken = args.find((arg) => arg.includes("\ufffd"));
  if (broken !== undefined) {
    throw new UsageError(
      `The argument ${JSON.stringify(broken)} has U+FFFD, which stands for bytes that are not UTF-8; wanted UTF-8.`,
    );
  }
  const flags = Object.entries({ ...command.flags, ...HELP_FLAG });
  const options = Object.fromEntries(
    flags.map(([name, { value, multiple = false }]) => [
      name,
      {
        type: value === undefined ? ("boolean" as const) : ("string" as const),
        multiple,
        ...(name === "help" ? { short: "h" } : {}),
      },
    ]),
  );
  let parsed: { values: Record<string, unknown>; positionals: string[] };
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    const [, flag] = /^Option '(--[^' ]+).* argument is ambiguous/.exec((error as Error).message) ?? [];
    if (flag !== undefined) {
      const value = args.find((arg, i) => arg.startsWith("-") && args[i - 1] === flag);
      throw new UsageError(
        `${flag} needs a value; write ${flag}=${quoted(value ?? "")} for one that begins with a dash.`,
      );
    }
    // Node adds advice of its own behind the first sentence.
    const [sentence] = (error as Error).message.split(". ");
    // Such as "- apple": what does not look like a flag is a text.
    const text =
      command.positionals > 0 && args.find((arg) => /^-./.test(arg) && !/^--[\w-]+(=|$)/.test(arg));
    const name = command.usage.split(" ")[0];
    const advice = text
      ? ` A text that begins with a dash goes behind --: ziya ${name} -- ${quoted(text)}.`
      : "";
    throw new UsageError(`${sentence!.replace(/\.$/, "")}.${advice}`);
  }
  if (parsed.positionals.length > command.positionals) {
    throw new UsageError(
      `${parsed.positionals.length === 1 ? "There is 1 argument" : `There are ${parsed.positionals.length} arguments`} besides the flags; wanted ${command.positionals === 0 ? "none" : `at most ${command.positionals}`}.`,
    );
  }
  return { values: new Values(parsed.values), positionals: parsed.positionals };
}

/** As a shell takes it for one word. */
function quoted(text: string): string {
  return /^[\w.,:/=-]+$/.test(text) ? text : JSON.stringify(text);
}

export function helpOf(command: Command): string {
  const flags = Object.entries({ ...command.flags, ...HELP_FLAG });
  const heads = flags.map(([name, { value }]) => `--${name}${value === undefined ? "" : ` ${value}`}`);
  const width = Math.max(...heads.map((head) => head.length)) + 2;
  const lines = flags.map(([, { help }], i) => `  ${heads[i]!.padEnd(width)}${help}`);
  const details = command.details ? `\n${command.details}\n` : "";
  return `ziya ${command.usage}\n\n${command.summary}\n${details}\nFlags:\n${lines.join("\n")}\n`;
}

/** Writes a command's result: as JSON with --json, or else as a text. */
export async function print({ values, io }: Pick<Invocation, "values" | "io">, result: object, text: string) {
  await write(io.stdout, `${values.on("json") ? JSON.stringify(result) : text}\n`);
  return EXIT.ok;
}

/** Writes and waits while the reader is behind. A terminal gets no control characters: see `visible`. */
export async function write(
  stream: Writable & { readonly isTTY?: boolean },
  text: string | Uint8Array,
): Promise<void> {
  const shown = stream.isTTY && typeof text === "string" ? visible(text) : text;
  if (shown.length === 0 || stream.write(shown)) return;
  await new Promise<void>((resolve) => stream.once("drain", resolve));
}
