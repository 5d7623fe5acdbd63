import type { Io } from "./command.ts";

/** A line on a terminal that says how far something is; nothing where stderr is no terminal. */
export function progressBar(stderr: Io["stderr"], what: string) {
  const WIDTH = 24;
  let shown = "";
  return {
    show: (done: number, total: number) => {
      const share = total > 0 ? done / total : 1;
      const full = "#".repeat(Math.round(share * WIDTH)).padEnd(WIDTH, ".");
      const line = `${what} [${full}] ${Math.floor(share * 100)} %`;
      // Only a change is worth the write: tensors arrive by the hundred.
      if (stderr.isTTY && line !== shown) stderr.write(`\r${line}`);
      if (stderr.isTTY) shown = line;
    },
    clear: () => {
      if (shown !== "") stderr.write(`\r${" ".repeat(shown.length)}\r`);
      shown = "";
    },
  };
}
