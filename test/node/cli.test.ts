import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, closeSync, constants, existsSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { packageRoot } from "../../node/host.ts";
import { testDeviceOptions } from "../support/gpu.ts";

/** The executable as people run it, built by the set-up behind `npm test`. */
const EXECUTABLE = join(packageRoot, "dist", "node", "cli.js");
const DEVICE_FLAGS = Object.entries(testDeviceOptions()).flatMap(([name, value]) => [
  `--${name}`,
  `${value}`,
]);
/** Very random text: an end-of-answer token is as unlikely as any other. */
const ENDLESS = ["--temperature", "20", "--top-k", "0", "--top-p", "1", "--max-tokens", "500", "--seed", "1"];

function start(...args: string[]) {
  const child = spawn(process.execPath, [EXECUTABLE, ...args, ...DEVICE_FLAGS], { cwd: "/" });
  const output = { out: "", err: "" };
  child.stdout.on("data", (chunk) => (output.out += chunk));
  child.stderr.on("data", (chunk) => (output.err += chunk));
  return { child, output };
}

/** The exit code once the process has ended by itself. */
async function ended(child: ChildProcess): Promise<number | null> {
  const [code] = await once(child, "close");
  return code;
}

describe("the executable", () => {
  test.runIf(process.platform === "linux")(
    "shows a terminal what is its own, and no word of Dawn's",
    async () => {
      const command = [process.execPath, EXECUTABLE, "doctor", ...DEVICE_FLAGS]
        .map((word) => `'${word}'`)
        .join(" ");
      // script makes a terminal of its own for the command; what native code writes to stderr is in it.
      const child = spawn("script", ["-qec", `${command}; echo to-stderr >&2`, "/dev/null"]);
      let shown = "";
      child.stdout.on("data", (chunk) => (shown += chunk));
      child.stdin.end();
      expect(await ended(child)).toBe(0);
      expect(shown).toMatch(/^adapter {3}/);
      expect(shown).toMatch(/to-stderr\r\n$/);
      expect(shown).not.toContain("artificially reduced");
    },
  );

  test.skipIf(process.platform === "win32")("may be executed after every build: npx sees to it once", () => {
    accessSync(EXECUTABLE, constants.X_OK);
    expect(readFileSync(EXECUTABLE, "utf8")).toMatch(/^#!\/usr\/bin\/env node\n/);
  });

  test("answers from any folder and ends by itself", async () => {
    const { child, output } = start("chat", "你好", "--temperature", "0");
    expect(await ended(child)).toBe(0);
    expect(output.out).toMatch(/^.+\n$/u);
    // A pipe gets no progress bar.
    expect(output.err).not.toContain("Loading");
  });

  test("stops at Ctrl-C with exit code 130 and keeps what it has said", async () => {
    const { child, output } = start("generate", "--prompt", "a", ...ENDLESS);
    await once(child.stdout, "data");
    child.kill("SIGINT");
    expect(await ended(child)).toBe(130);
    expect(output.out).toMatch(/.\n$/su);
  });

  test("stops at Ctrl-C while it waits for the next line of a pipe", async () => {
    const { child, output } = start("chat", "--temperature", "0");
    child.stdin.write("你好\n");
    await once(child.stdout, "data");
    child.kill("SIGINT");
    expect(await ended(child)).toBe(130);
    expect(output.out).toMatch(/^.+\n$/u);
  });

  test("ends quietly when nobody reads on", async () => {
    const { child, output } = start("generate", "--prompt", "a", ...ENDLESS);
    await once(child.stdout, "data");
    child.stdout.destroy();
    expect(await ended(child)).toBe(0);
    expect(output.err).not.toMatch(/EPIPE|Error/);
  });

  test.skipIf(!existsSync("/dev/full"))("ends with 1 and a line where the output has no room", async () => {
    const full = openSync("/dev/full", "w");
    const child = spawn(process.execPath, [EXECUTABLE, "--help"], { stdio: ["ignore", full, "pipe"] });
    closeSync(full);
    let err = "";
    child.stderr!.on("data", (chunk) => (err += chunk));
    expect(await ended(child)).toBe(1);
    expect(err).toMatch(/^ziya: The output could not be written: ENOSPC.*\n$/);
  });

  test("ends with 2 for a wrong command line", async () => {
    const { child, output } = start("chat", "--no-such-flag");
    expect(await ended(child)).toBe(2);
    expect(output.err).toMatch(/^ziya: Unknown option '--no-such-flag'/);
  });
});
