import type { Io } from "./command.ts";
import { visible } from "./visible.ts";

/** One line on a terminal that changes in place; nothing where stderr is no terminal. */
export function statusLine(stderr: Io["stderr"]) {
  let shown = "";
  return {
    show: (text: string) => {
      const line = visible(text);
      // Only a change is worth the write: tensors arrive by the hundred.
      if (!stderr.isTTY || line === shown) return;
      stderr.write(`\r${line.padEnd(shown.length)}`);
      shown = line;
    },
    clear: () => {
      if (shown !== "") stderr.write(`\r${" ".repeat(shown.length)}\r`);
      shown = "";
    },
  };
}

/** A status line that says how far something is. */
export function progressBar(stderr: Io["stderr"], what: string) {
  const WIDTH = 24;
  const status = statusLine(stderr);
  return {
    show: (done: number, total: number) => {
      const share = total > 0 ? done / total : 1;
      const full = "#".repeat(Math.round(share * WIDTH)).padEnd(WIDTH, ".");
      status.show(`${what} [${full}] ${Math.floor(share * 100)} %`);
    },
    clear: status.clear,
  };
}
