import { describe, expect, test } from "vitest";
import type { TransferProgress } from "../../web/api.ts";
import { reporter } from "../../web/convert/progress.ts";
import { openSources } from "../../web/convert/sources.ts";

/** A file as a chosen folder has it, by its path from there. */
function file(path: string, contents = path): File {
  const made = new File([contents], path.split("/").at(-1)!, { lastModified: 1e12 });
  return Object.defineProperty(made, "webkitRelativePath", { value: path.includes("/") ? path : "" });
}

/** The text of a file of the folder that is converted; undefined where there is none. */
async function text(files: readonly File[], name: string): Promise<string | undefined> {
  const sources = openSources({ model: files });
  const found = await ("model" in sources ? sources.model.open(name) : undefined);
  return found && new TextDecoder().decode(await found.read(0, found.size));
}

describe("what a person chooses to convert", () => {
  test("is the folder with the config, whatever lies beside, above and below it", async () => {
    const files = [
      "hub/refs/main",
      "hub/snapshots/1/config.json",
      "hub/snapshots/1/tokenizer.model",
      "hub/snapshots/1/original/config.json",
      "hub/tokenizer.model",
    ].map((path) => file(path));
    expect(await text(files, "config.json")).toBe("hub/snapshots/1/config.json");
    expect(await text(files, "tokenizer.model")).toBe("hub/snapshots/1/tokenizer.model");
    expect(await text(files, "main")).toBeUndefined();
    // A base may come without a config.
    const bare = ["base/old/a.bin", "base/a.bin", "base/b.bin"].map((path) => file(path));
    expect(await text(bare, "a.bin")).toBe("base/a.bin");
    expect(await text([file("config.json"), file("a.bin")], "a.bin")).toBe("a.bin");
  });

  test("is not two checkpoints", () => {
    const files = ["all/base/config.json", "all/delta/config.json"].map((path) => file(path));
    expect(() => openSources({ model: files })).toThrow(
      "The model has two checkpoints, with all/base/config.json and all/delta/config.json: give the files of one folder.",
    );
  });

  test("is known by what it is called, and by when it changed", async () => {
    const sources = openSources(
      { base: [file("llama/config.json")], delta: [file("config.json")] },
      file("text.txt"),
    );
    if ("model" in sources) throw new Error("It is a base and a delta.");
    expect(sources.base.title).toBe("llama, given as the base,");
    expect(sources.delta.title).toBe("The delta");
    expect(await sources.base.modified("config.json")).toBe(1e12);
    expect(await sources.base.modified("none")).toBeUndefined();
    expect(sources.calibration!.name).toBe("text.txt");
  });

  test("is not what Git LFS has left in its place", async () => {
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${"0".repeat(64)}\nsize 9\n`;
    await expect(text([file("a/config.json", pointer)], "config.json")).rejects.toThrow(
      "config.json is a Git LFS pointer",
    );
  });
});

describe("the reports of a conversion", () => {
  test("begin with what was there, begin again where it does, and end with all", () => {
    const told: TransferProgress[] = [];
    const report = reporter("convert", (progress) => told.push(progress));
    report(600, 1000);
    report(800, 1000);
    report(1000, 1000);
    expect(told.at(0)).toMatchObject({ phase: "convert", done: 800, total: 1000 });
    expect(told.at(-1)).toMatchObject({ done: 1000, total: 1000 });
    report(100, 500);
    report(500, 500);
    expect(told.at(-1)).toMatchObject({ done: 500, total: 500 });
    expect(told.every(({ done, total }) => done <= total)).toBe(true);
  });
});
