import { execFileSync } from "node:child_process";
import { lstat, mkdtemp, open, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { writeOutput } from "../../node/commands/file.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ziya-file-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function* chunks(...texts: string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield new TextEncoder().encode(text);
}

describe("writeOutput", () => {
  test("makes a file, replaces one, and leaves it as it was when it fails", async () => {
    const path = join(folder, "plain");
    await writeOutput(path, chunks("a", "b"));
    await writeOutput(path, chunks("c"));
    expect(await readFile(path, "utf8")).toBe("c");
    const failing = (async function* () {
      yield* chunks("d");
      throw new Error("no more");
    })();
    await expect(writeOutput(path, failing)).rejects.toThrow("no more");
    expect(await readFile(path, "utf8")).toBe("c");
    expect(await readdir(folder)).toEqual(["plain"]);
  });

  test("writes what a symbolic link names, there or not yet, and leaves the link", async () => {
    await writeFile(join(folder, "there"), "old");
    for (const target of ["there", "not yet"]) {
      const [first, second] = [join(folder, `to ${target}`), join(folder, `to the link to ${target}`)];
      await symlink(target, first);
      await symlink(first, second);
      await writeOutput(second, chunks("new"));
      expect((await lstat(first)).isSymbolicLink() && (await lstat(second)).isSymbolicLink()).toBe(true);
      expect(await readFile(join(folder, target), "utf8")).toBe("new");
    }
  });

  test.skipIf(process.platform === "win32")("writes into a pipe, which stays one", async () => {
    const pipe = join(folder, "pipe");
    execFileSync("mkfifo", [pipe]);
    // Open for both, so that neither end waits for the other.
    const reader = await open(pipe, "r+");
    await writeOutput(pipe, chunks("through"));
    expect((await lstat(pipe)).isFIFO()).toBe(true);
    const { buffer, bytesRead } = await reader.read();
    await reader.close();
    expect(buffer.toString("utf8", 0, bytesRead)).toBe("through");
  });
});
