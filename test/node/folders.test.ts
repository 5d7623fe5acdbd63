import { spawnSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expectFolder } from "../../node/files.ts";
import { packageRoot } from "../../node/host.ts";
import { CheckpointError, OptionError, openModel } from "../../node/index.ts";
import { run } from "../support/convert.ts";

let folder = "";
const place = (...names: string[]) => join(folder, ...names);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ziya-folders-"));
});
afterAll(() => rm(folder, { recursive: true }));

const LAYOUT = "wanted a checkpoint folder in Hugging Face's layout";

describe("what is given in the place of a checkpoint folder", () => {
  test.each([
    [
      "model.gguf",
      `is a file; ${LAYOUT}: GGUF is not read, so fetch the model's safetensors or PyTorch files.`,
    ],
    ["model.safetensors", `is a file; ${LAYOUT}: give the folder that it is in: `],
  ])("is named: the file %s", async (name, message) => {
    const file = place(name);
    await writeFile(file, "GGUF");
    expect(() => openModel(file)).toThrow(CheckpointError);
    expect(() => openModel(file)).toThrow(`${file}, given as the model, ${message}`);
    const { code, err } = await run("chat", "hi", "--model", file);
    expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining(message) });
  });

  test("is named: an empty name, and what is no name", async () => {
    const message = 'The model is ""; wanted the path of a checkpoint folder.';
    expect(() => openModel("")).toThrow(new OptionError(message));
    expect(await run("chat", "hi", "--model", "")).toMatchObject({
      code: 2,
      err: `ziya: ${message} See "ziya chat --help".\n`,
    });
    expect(() => openModel(7 as unknown as string)).toThrow("The model is 7; wanted the path");
    const { code, err } = await run("convert", "--base", "", "--delta", folder, "--out", place("out"));
    expect({ code, err }).toEqual({
      code: 2,
      err: expect.stringContaining('The base is ""; wanted the path'),
    });
  });

  test("is named: a folder of Hugging Face's cache", async () => {
    const hub = place("hub");
    const model = join(hub, "models--IDEA-CCNL--Ziya-LLaMA-13B-v1");
    const snapshots = join(model, "snapshots");
    await mkdir(join(snapshots, "a1"), { recursive: true });
    await mkdir(join(model, "blobs"));
    for (const given of [model, hub]) {
      expect(() => openModel(given)).toThrow(CheckpointError);
      expect(() => openModel(given)).toThrow(
        `${given}, given as the model, is a folder of Hugging Face's cache, whose checkpoints are in snapshots: give ${join(snapshots, "a1")}.`,
      );
    }
    await mkdir(join(snapshots, "b2"));
    expect(() => openModel(model)).toThrow(`${join(snapshots, "a1")} (or one of 1 more there).`);
    expect(() => openModel(join(snapshots, "a1"))).not.toThrow();
    // A checkpoint that happens to have a folder of that name.
    await writeFile(join(model, "config.json"), "{}");
    expect(() => openModel(model)).not.toThrow();
  });

  test("is named: one that the system does not let be entered", async () => {
    const loop = place("loop");
    await symlink(loop, loop);
    expect(() => expectFolder(loop, "base")).toThrow(CheckpointError);
    expect(() => expectFolder(loop, "base")).toThrow(
      /loop, given as the base, may not be entered \(ELOOP.*\): give yourself the right to, or copy it\.$/,
    );
  });

  // Root may enter every folder, so this is asked by somebody else.
  test.runIf(process.getuid)("is named: one without the right to enter it", async () => {
    const closed = place("closed");
    await mkdir(closed);
    await chmod(closed, 0o600);
    await chmod(folder, 0o755);
    const module = pathToFileURL(join(packageRoot, "dist", "node", "files.js")).href;
    const script = `
      import { expectFolder } from ${JSON.stringify(module)};
      if (process.getuid() === 0) process.setuid(65534);
      try { expectFolder(${JSON.stringify(closed)}); } catch (error) { console.log(error.code, error.message); }`;
    const { stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
      encoding: "utf8",
    });
    expect(stdout).toMatch(
      /^checkpoint .*closed, given as the model, may not be entered \(EACCES: .*\): give yourself the right to, or copy it\.\n$/,
    );
  });
});
