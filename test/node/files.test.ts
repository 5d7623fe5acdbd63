import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { fileSource, openFolder } from "../../node/files.ts";
import { CheckpointError } from "../../src/errors.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ziya-files-"));
  await writeFile(join(folder, "a.bin"), Uint8Array.of(1, 2, 3, 4));
  await mkdir(join(folder, "inner"));
  await writeFile(join(folder, "inner", "b.bin"), "b");
});
afterAll(() => rm(folder, { recursive: true }));

test("a file is read by range", async () => {
  const source = await fileSource(join(folder, "a.bin"));
  expect(source.size).toBe(4);
  expect([...(await source.read(1, 2))]).toEqual([2, 3]);
  expect((await source.read(4, 0)).length).toBe(0);
  await expect(source.read(3, 2)).rejects.toThrow("Wanted 2 bytes at 3");
});

test("a folder opens plain names only", async () => {
  const open = openFolder(join(folder, "inner"));
  expect((await open("b.bin"))?.name).toBe("b.bin");
  expect(await open("c.bin")).toBeUndefined();
  expect(await openFolder(join(folder, "nowhere"))("b.bin")).toBeUndefined();
  for (const name of ["../a.bin", join(folder, "a.bin"), ".."])
    await expect(open(name)).rejects.toThrow("plain name");
  await expect(openFolder(folder)("inner")).rejects.toThrow("is not a file");
});

test("a folder opens no Git LFS pointer", async () => {
  await writeFile(
    join(folder, "pointer.bin"),
    "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
  );
  await expect(openFolder(folder)("pointer.bin")).rejects.toThrow("pointer.bin is a Git LFS pointer");
});

test("a symbolic link is followed, as in Hugging Face's cache", async () => {
  try {
    await symlink(join(folder, "a.bin"), join(folder, "inner", "link.bin"));
  } catch {
    return; // Windows without the right to make links
  }
  expect((await openFolder(join(folder, "inner"))("link.bin"))?.size).toBe(4);
});

test("a file that is missing, changes or goes is refused", async () => {
  await expect(fileSource(join(folder, "absent"))).rejects.toThrow("does not exist");
  const path = join(folder, "changing.bin");
  await writeFile(path, "12345");
  const source = await fileSource(path, "changing.bin");
  await writeFile(path, "123456");
  await expect(source.read(0, 1)).rejects.toThrow("changed while it was read");
  await rm(path);
  const reading = source.read(0, 1);
  await expect(reading).rejects.toThrow(CheckpointError);
  await expect(reading).rejects.toThrow("could not be read");
});
