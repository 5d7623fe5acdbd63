import { closeSync, constants, fstatSync, openSync, readSync, unlinkSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadDawn } from "../dawn.ts";

/** What Dawn's native code writes to stderr in the first request for an adapter; none of its flags stops it. */
const LIMIT_LINES = /^Warning: maxDynamic\w+ artificially reduced from .*\r?\n/gm;
const STDERR = 2;

/**
 * Keeps Dawn's lines on reduced limits off a terminal, where they would stand before each result. For a process of the
 * command line's own: while an adapter is asked for, its stderr is a file.
 */
export function quietDawn(): void {
  // Only Vulkan's drivers report limits that Dawn reduces. Files and pipes are left alone: nobody reads along.
  if (process.platform !== "linux" || !process.stderr.isTTY) return;
  let prototype: GPU;
  try {
    ({ prototype } = Reflect.get(loadDawn().globals, "GPU") as { prototype: GPU });
  } catch {
    // Not every command needs Dawn; the one that does says that it is missing.
    return;
  }
  const { requestAdapter } = prototype;
  prototype.requestAdapter = function (options) {
    return withoutLimitLines(() => requestAdapter.call(this, options));
  };
}

/** Dawn writes them before the call returns, so nothing else of this process runs meanwhile. */
function withoutLimitLines<T>(work: () => T): T {
  let terminal: number;
  let file: number;
  try {
    terminal = openSync(`/proc/self/fd/${STDERR}`, constants.O_RDWR);
    const path = join(tmpdir(), `ziya-${process.pid}-${performance.now()}`);
    file = openSync(path, "wx+", 0o600);
    unlinkSync(path);
  } catch {
    return work();
  }
  redirect(file);
  try {
    return work();
  } finally {
    redirect(terminal);
    const bytes = new Uint8Array(fstatSync(file).size);
    readSync(file, bytes, 0, bytes.length, 0);
    const rest = new TextDecoder().decode(bytes).replace(LIMIT_LINES, "");
    if (rest) writeSync(STDERR, rest);
    closeSync(file);
    closeSync(terminal);
  }
}

/** The lowest free number is the one that was just closed. */
function redirect(to: number): void {
  closeSync(STDERR);
  openSync(`/proc/self/fd/${to}`, constants.O_RDWR | constants.O_APPEND);
}
