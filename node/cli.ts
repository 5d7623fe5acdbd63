#!/usr/bin/env node
import { main } from "./commands/main.ts";

// Whoever read the output (head, a pager) has seen enough.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit(0);
});

process.exitCode = await main(process.argv.slice(2), process);
