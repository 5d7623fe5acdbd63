import { mkdir, mkdtemp, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { fingerprint } from "../../../node/setup/build.mjs";

let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "ziya-build-"));
  await mkdir(join(root, "src", "deep"), { recursive: true });
  await mkdir(join(root, "bench", "peers", "node_modules"), { recursive: true });
  await writeFile(join(root, "src", "deep", "a.ts"), "1");
});

afterEach(() => rm(root, { recursive: true }));

test.each([
  ["a new source", "src/b.ts"],
  ["a changed source", "src/deep/a.ts"],
  ["a changed lock file", "package-lock.json"],
])("%s asks for a build", async (_, path) => {
  const before = fingerprint(root);
  await writeFile(join(root, path), "22");
  expect(fingerprint(root)).not.toBe(before);
});

test("a source written again at the same length asks for a build", async () => {
  const before = fingerprint(root);
  await utimes(join(root, "src/deep/a.ts"), 0, 0);
  expect(fingerprint(root)).not.toBe(before);
});

test("what is not compiled does not", async () => {
  const before = fingerprint(root);
  await writeFile(join(root, "src/notes.md"), "text");
  await writeFile(join(root, "bench/peers/node_modules/a.ts"), "1");
  expect(fingerprint(root)).toBe(before);
});
