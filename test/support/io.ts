import { PassThrough } from "node:stream";
import type { Io } from "../../node/commands/command.ts";

/** A terminal, or pipes, whose output can be read as text. */
export interface FakeIo extends Io {
  readonly stdin: PassThrough & { isTTY?: boolean };
  readonly out: () => string;
  readonly err: () => string;
  /** Waits until stdout has `text` behind what an earlier call waited for. */
  readonly until: (text: string) => Promise<void>;
}

export function fakeIo({
  input,
  terminal = false,
}: {
  input?: string | Buffer;
  terminal?: boolean;
} = {}): FakeIo {
  const [stdin, stdout, stderr] = [0, 1, 2].map(() => Object.assign(new PassThrough(), { isTTY: terminal }));
  if (input !== undefined) stdin!.end(input);
  const text = { out: "", err: "" };
  stdout!.on("data", (chunk) => (text.out += chunk));
  stderr!.on("data", (chunk) => (text.err += chunk));
  let seen = 0;
  return {
    stdin: stdin!,
    stdout: stdout!,
    stderr: stderr!,
    out: () => text.out,
    err: () => text.err,
    until: async (wanted) => {
      const deadline = Date.now() + 5000;
      while (text.out.indexOf(wanted, seen) < 0) {
        if (Date.now() > deadline) {
          throw new Error(`no ${JSON.stringify(wanted)} in ${JSON.stringify(text.out.slice(seen))}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      seen = text.out.indexOf(wanted, seen) + wanted.length;
    },
  };
}
