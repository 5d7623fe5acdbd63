import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { convert as convertModel } from "../../node/convert/convert.ts";
import { outputFolder } from "../../node/convert/folder.ts";
import { createFile } from "../../node/convert/output.ts";
import { INDEX, UNFINISHED_INDEX } from "../../src/checkpoint/source.ts";
import { StorageError } from "../../src/errors.ts";
import { convertRelease, run } from "../support/convert.ts";
import { type Release, writeRelease } from "../support/release.ts";

let folder = "";
let release: Release;
const place = (name: string) => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ziya-output-"));
  release = await writeRelease(place("release"));
});
afterAll(() => rm(folder, { recursive: true }));

describe("an output that does not do", () => {
  test("a disk that is too small is told before anything is written, with need and have", async () => {
    const asked = outputFolder(folder).expectRoom(1e21);
    await expect(asked).rejects.toThrow(
      /^The conversion needs .* in .*, and its disk has .* left: free some space/,
    );
    await expect(asked).rejects.toMatchObject({ room: { need: 1e21, free: expect.any(Number) } });
  });

  test("a full disk is told as one, and nothing is left of the file", async () => {
    const path = place("never");
    const partial = `${path}.partial`;
    await symlink("/dev/full", partial);
    const file = await createFile(path, partial);
    await expect(file.write(new Uint8Array(1))).rejects.toMatchObject({ name: "StorageError", room: {} });
    await expect(file.write(new Uint8Array(1))).rejects.toThrow(
      `The disk is full: ${path} could not be written. Free some space and run the same command again`,
    );
    await file.discard();
    expect((await readdir(folder)).filter((name) => name.startsWith("never"))).toEqual([]);
  });

  test("a folder that cannot be made is told as one", async () => {
    const file = place("a file");
    await writeFile(file, "");
    for (const out of [file, join(file, "out")]) {
      const result = await run("convert", "--base", release.base, "--delta", release.delta, "--out", out);
      expect(result.code).toBe(1);
      expect(result.err).toMatch(
        /^ziya: .* is no folder that can be used: .* Choose another one with --out.\n$/,
      );
      expect(result.err).toContain(`ziya: ${out} is`);
    }
  });

  test.each([
    ["a file to remove that is none", "1.safetensors.99999999.partial"],
    ["a place for the index that is taken", INDEX],
    ["a place for the journal that is taken", UNFINISHED_INDEX],
  ])("%s is told as one, by path", async (what, name) => {
    const out = place(what);
    // No call removes, replaces or reads a folder as a file: that fails on every system, as all does on a read-only disk.
    await mkdir(join(out, name, "inner"), { recursive: true });
    const converting = convertRelease(release, out, "q4");
    await expect(converting).rejects.toThrow(StorageError);
    await expect(converting).rejects.toThrow(join(out, name));
  });

  test("a journal that cannot be removed beside its finished result is told as one", async () => {
    const out = place("finished");
    const convert = () => convertRelease(release, out);
    await convert();
    const journal = join(out, UNFINISHED_INDEX);
    await mkdir(join(journal, "inner"), { recursive: true });
    await expect(convert()).rejects.toThrow(StorageError);
    await expect(convert()).rejects.toThrow(`${journal} could not be written: `);
    await rm(journal, { recursive: true });
    expect(await convert()).toBeUndefined();
  });

  test("a report that cannot be written is told before the conversion begins", async () => {
    const out = place("reported");
    const convert = (report: string) =>
      run("convert", "--base", release.base, "--delta", release.delta, "--out", out, "--report", report);
    for (const [report, reason] of [
      [join(place("no folder"), "report.json"), "ENOENT"],
      [folder, "it is a folder"],
      [join(release.delta, "config.json", "report.json"), "ENOTDIR"],
    ] as const) {
      const { code, err } = await convert(report);
      expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining(reason) });
      expect(err).toContain(`ziya: ${report} could not be written: `);
      await expect(readdir(out)).rejects.toThrow("ENOENT");
    }
    expect((await convert(join(out, "report.json"))).code).toBe(0);
    expect(await readdir(out)).toContain("report.json");
    const { code, err } = await convert(place("later.json"));
    expect({ code, err }).toEqual({
      code: 1,
      err: expect.stringContaining("is finished already, and what --report"),
    });
  });

  test("a report is not written over what is read or made", async () => {
    const out = place("never");
    for (const file of [
      join(release.base, "config.json"),
      join(release.delta, "report.json"),
      join(out, "model-00001-of-00001.safetensors"),
      join(out, "model.safetensors.index.json"),
      join(out, "tokenizer.model"),
    ]) {
      const result = await run(
        ...["convert", "--base", release.base, "--delta", release.delta],
        ...["--out", out, "--report", file],
      );
      expect(result).toMatchObject({
        code: 2,
        err: expect.stringContaining("among the files of a checkpoint"),
      });
      await expect(readdir(out)).rejects.toThrow("ENOENT");
    }
  });

  test("a report that fails at the end leaves a conversion that goes on to make it", async () => {
    const out = place("unreported");
    const inputs = {
      base: { kind: "folder", path: release.base },
      delta: { kind: "folder", path: release.delta },
    } as const;
    const options = { inputs, weights: "q4", out, workers: 1 } as const;
    const onReport = async () => {
      throw new StorageError("The disk is full.");
    };
    await expect(convertModel({ ...options, onReport })).rejects.toThrow("The disk is full.");
    expect(await readdir(out)).not.toContain(INDEX);
    let reported = 0;
    const report = await convertModel({
      ...options,
      onReport: async ({ shards_found: found }) => {
        reported = found;
      },
    });
    expect([report?.shards_found, reported]).toEqual([1, 1]);
    expect(await readdir(out)).toContain(INDEX);
  });
});
