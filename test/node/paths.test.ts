import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createReadStream } from "node:fs";
import type * as promises from "node:fs/promises";
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { writeOutput } from "../../node/commands/file.ts";
import { main } from "../../node/commands/main.ts";
import { readInput } from "../../node/commands/text.ts";
import { StorageError } from "../../src/errors.ts";
import { convertRelease, run } from "../support/convert.ts";
import { fakeIo } from "../support/io.ts";
import { type Release, writeRelease } from "../support/release.ts";

/** Below it everything that writes fails as on a read-only file system: what it is told where none can be mounted. */
const { READ_ONLY } = vi.hoisted(() => ({ READ_ONLY: "/read-only" }));
vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof promises>();
  const refusing = <Arguments extends unknown[], Result>(
    name: string,
    call: (...args: Arguments) => Promise<Result>,
  ): ((...args: Arguments) => Promise<Result>) => {
    return (...args) => {
      if (!String(args[0]).startsWith(READ_ONLY)) return call(...args);
      const reason = `EROFS: read-only file system, ${name} '${args[0]}'`;
      return Promise.reject(Object.assign(new Error(reason), { code: "EROFS", syscall: name }));
    };
  };
  return {
    ...real,
    access: refusing("access", real.access),
    mkdir: refusing("mkdir", real.mkdir),
    open: refusing("open", real.open),
  };
});

let folder = "";
let release: Release;
let mount: ChildProcess | undefined;
/** Folders that are read-only, by how. */
const readOnly = new Map([["a fake one", READ_ONLY]]);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ziya-paths-"));
  release = await writeRelease(join(folder, "release"));
  await writeFile(join(folder, "file"), "a text");
  await symlink("loop", join(folder, "loop"));
  const place = join(folder, "mount");
  await mkdir(place);
  const script = 'mount -t tmpfs -o ro none "$0" && echo there && exec sleep 600';
  mount = spawn("unshare", ["-rm", "sh", "-c", script, place], { stdio: ["ignore", "pipe", "ignore"] });
  const ended = once(mount, "close").catch(() => undefined);
  await Promise.race([once(mount.stdout!, "data"), ended]);
  // Mounted for that process only, and seen through it.
  if (mount.exitCode === 0 || mount.exitCode === null) {
    if (mount.pid !== undefined) readOnly.set("a mount", `/proc/${mount.pid}/root${place}`);
  }
});
afterAll(async () => {
  mount?.kill();
  await rm(folder, { recursive: true });
});

const LONG = "x".repeat(300);

describe("a path that cannot be used is a sentence with the path, and exit code 1:", () => {
  const places: Readonly<Record<string, string>> = {
    none: "none/none",
    "a folder": ".",
    "a file as a folder": "file/inner",
    "a link to itself": "loop",
    "a name too long": LONG,
  };
  const commands: Readonly<Record<string, (path: string) => string[]>> = {
    "chat --file": (path) => ["chat", "--file", path],
    "generate --file": (path) => ["generate", "--file", path],
    "perplexity --file": (path) => ["perplexity", "--file", path],
    "logits --out": (path) => ["logits", "--tokens", "1", "--out", path, "--model", join(folder, "none")],
    "convert --report": (path) => [
      ...["convert", "--base", release.base, "--delta", release.delta],
      ...["--out", join(folder, "never"), "--report", path],
    ],
    "convert --calibrate": (path) => [
      ...["convert", "--base", release.base, "--delta", release.delta],
      ...["--out", join(folder, "never"), "--calibrate", path],
    ],
  };
  for (const [kind, name] of Object.entries(places)) {
    test.each(Object.keys(commands))(`${kind} of %s`, async (command) => {
      const path = join(folder, name);
      const { code, out, err } = await run(...commands[command]!(path));
      expect({ code, out }).toEqual({ code: 1, out: "" });
      expect(err).toMatch(/^ziya: .*(could not be (read|written): |does not exist: |is not a file)[^\n]*\n$/);
      expect(err.startsWith(`ziya: ${path}`)).toBe(true);
    });
  }

  test.each(["a link to itself", "a name too long", "a file as a folder"])("%s of a folder", async (kind) => {
    const path = join(folder, places[kind]!);
    for (const args of [
      ["convert", "--base", release.base, "--delta", release.delta, "--out", path],
      ["verify", path],
      ["tokenize", "--model", path],
    ]) {
      const { code, out, err } = await run(...args);
      expect({ code, out }).toEqual({ code: 1, out: "" });
      expect(err).toMatch(
        /^ziya: [^\n]*(no folder that can be used|may not be entered|does not exist)[^\n]*\n$/,
      );
      expect(err.startsWith(`ziya: ${path}`)).toBe(true);
    }
  });

  test.each([["tokenize"], ["detokenize"], ["chat", "--file", "-"]])(
    "a folder as stdin of %s",
    async (...args) => {
      const io = { ...fakeIo(), stdin: createReadStream(folder) };
      expect(await main(args, io)).toBe(1);
      expect(io.err()).toMatch(/^ziya: stdin could not be read: EISDIR: [^\n]*\n$/);
    },
  );

  test("and a StorageError for programs", async () => {
    const path = join(folder, "none", "none");
    await expect(readInput(path, fakeIo())).rejects.toThrow(StorageError);
    await expect(writeOutput(path, Readable.from([]))).rejects.toThrow(StorageError);
    const full = writeOutput("/dev/full", Readable.from([new Uint8Array(1)]));
    await expect(full).rejects.toThrow("The disk is full: /dev/full could not be written.");
  });
});

test("a file that is too long is refused by its length", async () => {
  const io = fakeIo();
  // Without an end, and 64 MiB of it are enough.
  const stdin = createReadStream("/dev/zero");
  expect(await main(["generate", "--file", "-"], { ...io, stdin })).toBe(2);
  expect(io.err()).toMatch(/^ziya: stdin has more than 67108864 bytes, the most that is read: /);
});

test("a file system that is read-only is told as one, by convert and by what has --out", async () => {
  if (readOnly.size === 1) console.info("No file system can be mounted here: a fake one only.");
  for (const [how, root] of readOnly) {
    const inputs = ["--base", release.base, "--delta", release.delta];
    // The folder itself is there on a mount; the other is to be made.
    for (const out of [root, join(root, "new")]) {
      const { code, err } = await run("convert", ...inputs, "--out", out);
      expect({ how, code }).toEqual({ how, code: 1 });
      expect(err).toMatch(/^ziya: .*(is no folder that can be used|could not be written): EROFS: [^\n]*\n$/);
      const converting = convertRelease(release, out);
      await expect(converting, how).rejects.toThrow(StorageError);
    }
    const file = join(root, "file");
    for (const args of [
      // Told before the model is looked for.
      ["logits", "--tokens", "1", "--out", file, "--model", join(folder, "none")],
      ["convert", ...inputs, "--out", join(folder, "never"), "--report", file],
    ]) {
      const { code, err } = await run(...args);
      expect({ how, code }).toEqual({ how, code: 1 });
      expect(err.startsWith(`ziya: ${file} could not be written: EROFS: read-only file system`), err).toBe(
        true,
      );
    }
    await expect(writeOutput(file, Readable.from([])), how).rejects.toThrow(StorageError);
  }
  await expect(readFile(join(folder, "never"))).rejects.toThrow("ENOENT");
});
