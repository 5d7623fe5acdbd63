import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { packageRoot } from "../host.ts";
import { OptionError, ZiyaError } from "../index.ts";
import { chat } from "./chat.ts";
import { type Command, EXIT, helpOf, type Io, parseCommandLine, UsageError, write } from "./command.ts";
import { convert } from "./convert.ts";
import { doctor } from "./doctor.ts";
import { generate } from "./generate.ts";
import { logits } from "./logits.ts";
import { perplexity } from "./perplexity.ts";
import { detokenize, tokenize } from "./tokenize.ts";
import { verify } from "./verify.ts";

const COMMANDS: Readonly<Record<string, Command>> = {
  chat,
  generate,
  tokenize,
  detokenize,
  logits,
  perplexity,
  convert,
  verify,
  doctor,
};

function overview(): string {
  const entries = Object.values(COMMANDS);
  const width = Math.max(...entries.map(({ usage }) => usage.length)) + 2;
  const lines = entries.map(({ usage, summary }) => `  ${usage.padEnd(width)}${summary}`);
  return `ziya runs Ziya-LLaMA models on any WebGPU adapter.\n\nCommands:\n${lines.join("\n")}\n\n"ziya COMMAND --help" tells more about one; "ziya --version" tells the version.\nExit codes: 0 done, 1 failed, 2 wrong command line, 130 interrupted.\n`;
}

/**
 * Runs a command line without the words "node" and "ziya".
 * @returns The exit code.
 */
export async function main(args: readonly string[], io: Io): Promise<number> {
  const [name, ...rest] = args;
  if (name === "--help" || name === "-h" || name === "help") {
    await write(io.stdout, overview());
    return EXIT.ok;
  }
  if (name === "--version") {
    const { version } = JSON.parse(await readFile(join(packageRoot, "package.json"), "utf8"));
    await write(io.stdout, `${version}\n`);
    return EXIT.ok;
  }
  const command = name === undefined || !Object.hasOwn(COMMANDS, name) ? undefined : COMMANDS[name];
  if (!command) {
    const fault = name === undefined ? "" : `There is no command ${JSON.stringify(name)}.\n\n`;
    await write(io.stderr, fault + overview());
    return EXIT.usage;
  }
  try {
    const invocation = parseCommandLine(command, rest);
    if (invocation.values.on("help")) {
      await write(io.stdout, helpOf(command));
      return EXIT.ok;
    }
    return await command.run({ ...invocation, io });
  } catch (error) {
    return report(error, name!, io);
  }
}

/** Errors that say all there is to say are shown as a sentence, others with the place they come from. */
async function report(error: unknown, name: string, io: Io): Promise<number> {
  const usage = error instanceof UsageError || error instanceof OptionError;
  const known = usage || error instanceof ZiyaError || (error instanceof Error && "syscall" in error);
  const text = known ? (error as Error).message : error instanceof Error ? error.stack : String(error);
  const hint = usage ? ` See "ziya ${name} --help".` : "";
  await write(io.stderr, `ziya: ${text}${hint}\n`);
  return usage ? EXIT.usage : EXIT.failure;
}
