import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { describeChecked, describeDecode, describePrefill } from "../../node/commands/doctor.ts";
import { cacheFolder, fileStore } from "../../node/store.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ziya-store-"));
});
afterAll(() => rm(folder, { recursive: true }));

test("what is written is read again, by name, and nothing else is left", async () => {
  const inner = join(folder, "made", "here");
  const store = fileStore(() => inner);
  expect(await store.read("decode-1")).toBeUndefined();
  for (const bytes of [Uint8Array.of(1, 2, 3), Uint8Array.of(4)]) {
    await store.write("decode-1", bytes);
    expect(Uint8Array.from((await store.read("decode-1"))!)).toEqual(bytes);
  }
  expect(await store.read("decode-2")).toBeUndefined();
  expect(await readdir(inner)).toEqual(["decode-1"]);
});

test("a folder that cannot be is an error of the call", async () => {
  const file = join(folder, "file");
  await writeFile(file, "");
  const store = fileStore(() => file);
  await expect(store.read("a")).rejects.toThrow("ENOTDIR");
  await expect(store.write("a", Uint8Array.of(1))).rejects.toThrow();
  const homeless = fileStore(() => {
    throw new Error("no home");
  });
  await expect(homeless.read("a")).rejects.toThrow("no home");
});

test("the folder is the user's cache", () => {
  expect(cacheFolder({ XDG_CACHE_HOME: join(folder, "cache") }, "linux")).toBe(
    join(folder, "cache", "ziya-webgpu"),
  );
  const home = cacheFolder({}, "linux");
  expect(home).toMatch(/\.cache[\\/]ziya-webgpu$/);
  expect(cacheFolder({ XDG_CACHE_HOME: "not/absolute" }, "linux")).toBe(home);
  expect(cacheFolder({ LOCALAPPDATA: join(folder, "local"), XDG_CACHE_HOME: folder }, "win32")).toBe(
    join(folder, "local", "ziya-webgpu"),
  );
});

test("doctor tells each way's time, and why it was dropped", () => {
  const timings = [
    { way: "f32 16x4", ms: 0.5 },
    { way: "i8 1x1", ms: 4, dropped: "slow" },
    { way: "i8 8x4", dropped: "does not compile" },
  ];
  expect(describeDecode({ set: "fused", arithmetic: "f32", way: "f32 16x4", timings }).slice(1)).toEqual([
    "  f32 16x4  0.500 ms",
    "  i8 1x1    4.000 ms, slow",
    "  i8 8x4    does not compile",
  ]);
  expect(describeDecode({ set: "plain" })[0]).toContain("with plain, by rule");
  expect(describePrefill({ way: "f16 matrix 16", timings: [{ way: "i8 tiles", ms: 2 }] })).toEqual([
    "Its prompts would be multiplied with f16 matrix 16, by timing two of a layer's matrices",
    "  i8 tiles  2.000 ms",
  ]);
  expect(describeDecode({ failed: "No room." })).toEqual(["Its kernels could not be tried: No room."]);
});

test("doctor tells which kernels are wrong, by how much", () => {
  const right = { kernel: "rope", way: "pairs", error: 1e-7, allowed: 2 ** -12 };
  const wrong = { kernel: "linear", way: "matrix 8", error: 0.123, allowed: 2 ** -6 };
  const nothing = { kernel: "argmax", way: "subgroup", error: Number.POSITIVE_INFINITY, allowed: 0 };
  expect(describeChecked([right, wrong, nothing])).toEqual([
    "Of 3 kernels that were held to known results, 2 were wrong.",
    'The kernel "linear" is computed wrong here as "matrix 8" (off by 12 %, where 1.6 % is allowed): another way takes its place.',
    'The kernel "argmax" is computed wrong here as "subgroup" (no number, or leaves some where none belong, where 0 % is allowed): another way takes its place.',
  ]);
  expect(describeChecked([])).toEqual(["Kernels are held to known results when a model is loaded."]);
});
