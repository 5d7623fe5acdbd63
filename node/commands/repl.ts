import { createInterface, type Interface } from "node:readline";
import {
  CheckpointError,
  ContextOverflowError,
  type Conversation,
  ConversationError,
  type Engine,
  fileSource,
  type GenerationOptions,
  type GenerationResult,
  OptionError,
  StorageError,
  saveConversation,
} from "../index.ts";
import { EXIT, type Io, write } from "./command.ts";
import { splitLines } from "./lines.ts";
import { writeAnswer } from "./sampling.ts";
import { decodeInput } from "./text.ts";

const HELP = `/reset      forget what was said
/save FILE  keep what was said, and what the model has read of it
/load FILE  go on with what was kept
/stats      tokens and speed of the last answer
/help       this list
Ctrl-C stops an answer; at the prompt, twice, it ends, as does Ctrl-D. A space before a "/" makes it a message.
`;

/** What `converse` needs of an engine. */
type Chat = Pick<Engine, "conversation" | "restore">;

/** What is told of a line that asks for what cannot be, before the next one. */
const REFUSALS = [OptionError, ContextOverflowError, ConversationError, CheckpointError, StorageError];

/**
 * A conversation, line by line: with prompt, editing and history on a terminal, plain lines from a pipe.
 * @returns The exit code: failure when a line from a pipe could not be answered.
 * @throws UsageError for a line from a pipe that is not UTF-8, after those before it were answered.
 */
export async function converse(
  engine: Chat,
  io: Io,
  json: boolean,
  options: GenerationOptions,
): Promise<number> {
  const terminal = io.stdin.isTTY === true && io.stdout.isTTY === true;
  const lines = terminal
    ? createInterface({ input: io.stdin, output: io.stdout, terminal, prompt: "> " })
    : undefined;
  const state: { answering: AbortController | undefined } = { answering: undefined };
  // Ctrl-D may end the input during an answer: there is no prompt after that.
  let closed = false;
  lines?.on("close", () => {
    closed = true;
  });
  const prompt = () => {
    if (!closed) lines?.prompt();
  };
  let conversation = engine.conversation();
  let last: GenerationResult | undefined;
  let exit: number = EXIT.ok;
  // A terminal in raw mode gives Ctrl-C to readline, otherwise it is a signal.
  lines?.on("SIGINT", interruptHandler(lines, io, state));
  const onSignal = () => {
    exit = EXIT.interrupted;
    state.answering?.abort();
    lines?.close();
    if (!lines) io.stdin.destroy();
  };
  process.on("SIGINT", onSignal);
  const commands: Readonly<Record<string, (argument: string) => Promise<unknown>>> = {
    "/reset": async () => {
      conversation = engine.conversation();
    },
    "/save": async (file) => {
      await saveConversation(conversation, expectName(file));
      await write(io.stderr, `${count(conversation)} kept in ${file}.\n`);
    },
    "/load": async (file) => {
      conversation = await engine.restore(await fileSource(expectName(file)));
      await write(io.stderr, `${count(conversation)} from ${file}.\n`);
    },
    "/stats": () => write(io.stdout, `${json ? statsJson(last) : describe(last)}\n`),
    "/help": () => write(io.stderr, HELP),
  };
  const answer = async (text: string) => {
    state.answering = new AbortController();
    const { signal } = state.answering;
    last = await writeAnswer(io, json, (onPrefill) =>
      conversation.say(text, { ...options, signal, onPrefill }),
    );
  };
  try {
    prompt();
    for await (const line of lines ?? pipedLines(io)) {
      const text = line.trim();
      const [command, argument] = line.startsWith("/") ? splitCommand(text) : [];
      try {
        if (command === undefined) {
          if (text !== "") await answer(text);
        } else if (Object.hasOwn(commands, command)) await commands[command]!(argument!);
        else await write(io.stderr, `There is no ${command}.\n${HELP}`);
      } catch (error) {
        if (!REFUSALS.some((Refusal) => error instanceof Refusal)) throw error;
        await write(io.stderr, `${(error as Error).message}\n`);
        if (!terminal) exit = EXIT.failure;
      }
      state.answering = undefined;
      prompt();
    }
    if (terminal) await write(io.stdout, "\n");
    return exit;
  } catch (error) {
    // What the input says of its own end when a signal ended it.
    if (exit === EXIT.interrupted && io.stdin.destroyed) return exit;
    throw error;
  } finally {
    process.off("SIGINT", onSignal);
    lines?.close();
  }
}

/** A command, and all that stands behind it: a file's name may have spaces. */
function splitCommand(text: string): [command: string, argument: string] {
  const [command] = /^\S+/.exec(text)!;
  return [command, text.slice(command.length).trim()];
}

/** @throws OptionError for a name that is none. */
function expectName(file: string): string {
  if (file === "") throw new OptionError("The command wants the name of a file behind it.");
  return file;
}

function count({ messages }: Conversation): string {
  return messages.length === 1 ? "1 message" : `${messages.length} messages`;
}

async function* pipedLines(io: Io): AsyncGenerator<string> {
  let number = 0;
  for await (const bytes of splitLines(io.stdin)) yield decodeInput(bytes, `Line ${++number} of stdin`);
}

/** Ctrl-C on a terminal: stops the answer, or empties the line, or, twice at an empty prompt, ends. */
function interruptHandler(
  lines: Interface,
  io: Io,
  state: { answering: AbortController | undefined },
): () => void {
  let pressed = false;
  lines.on("line", () => {
    pressed = false;
  });
  return () => {
    if (state.answering) {
      state.answering.abort();
      return;
    }
    if (lines.line === "" && pressed) {
      lines.close();
      return;
    }
    pressed = lines.line === "";
    if (pressed) io.stdout.write("\nCtrl-C again, or Ctrl-D, ends.\n");
    // Readline's own keys: to the end of the line, then delete all before it.
    lines.write(null, { ctrl: true, name: "e" });
    lines.write(null, { ctrl: true, name: "u" });
    lines.prompt();
  };
}

/** A line among the results, told from them by its key: what was said is not repeated. */
function statsJson(result: GenerationResult | undefined): string {
  if (!result) return JSON.stringify({ stats: null });
  const { text: _, sequences: __, ...stats } = result;
  return JSON.stringify({ stats });
}

function describe(result: GenerationResult | undefined): string {
  if (!result) return "There was no answer yet.";
  const { usage, timings, finish_reason, seed } = result;
  const figure = (value: number | null, unit: string) =>
    value === null ? "-" : `${value.toFixed(value < 10 ? 2 : 0)} ${unit}`;
  return [
    `prompt   ${usage.prompt_tokens} tokens, ${usage.cached_tokens} of them still in the cache`,
    `answer   ${usage.completion_tokens} tokens, ended by ${finish_reason}, seed ${seed}`,
    `first    ${figure(timings.time_to_first_token_ms, "ms")} to the first token`,
    `prefill  ${figure(timings.prefill_tokens_per_second, "tokens/s")}`,
    `decode   ${figure(timings.decode_tokens_per_second, "tokens/s")}`,
  ].join("\n");
}
