#!/usr/bin/env node
import { EXIT } from "./commands/command.ts";
import { main } from "./commands/main.ts";
import { quietDawn } from "./commands/quiet.ts";

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  // Whoever read the output (head, a pager) has seen enough.
  if (error.code === "EPIPE") process.exit(EXIT.ok);
  process.stderr.write(`ziya: The output could not be written: ${error.message}.\n`);
  process.exit(EXIT.failure);
});

quietDawn();
process.exitCode = await main(process.argv.slice(2), process);
