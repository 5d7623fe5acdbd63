import { utimesSync } from "node:fs";
import { cp, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { convert } from "../../node/convert/convert.ts";
import { openSources } from "../../node/convert/inputs.ts";
import { INDEX } from "../../src/checkpoint/source.ts";
import { expectSameFiles, openInputs } from "../../src/convert/inputs.ts";
import { run } from "../support/convert.ts";
import { type Release, writeRelease } from "../support/release.ts";

let folder = "";
let release: Release;
const place = (name: string) => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ziya-sources-"));
  release = await writeRelease(place("release"));
});
afterAll(() => rm(folder, { recursive: true }));

describe("a conversion whose sources change", () => {
  test("is not gone on with when a source changes under it", async () => {
    const description = { kind: "folder", path: release.base } as const;
    const { files } = await openInputs(await openSources({ model: description }));
    const seen = [...files.values()];
    expect(() => expectSameFiles(files, seen)).not.toThrow();
    const [changed, ...others] = seen;
    expect(() => expectSameFiles(files, [...others, { ...changed!, modified: 0 }])).toThrow(
      /^model\/\S+ changed while it was converted \(\d+ bytes of 1970-01-01T00:00:00.000Z; now \d+ bytes of 20/,
    );
    expect(() => expectSameFiles(files, [...seen, { name: "model/more", size: 1 }])).toThrow("now gone");
  });

  test.each([
    "base/pytorch_model.bin.index.json",
    "delta/config.json",
    "delta/pytorch_model-00001-of-00002.bin",
  ])("is not finished when %s changes before its end", async (name) => {
    const copy = place(`changing ${name.replace("/", " ")}`);
    await cp(place("release"), copy, { recursive: true });
    const [base, delta] = ["base", "delta"].map(
      (part) => ({ kind: "folder", path: join(copy, part) }) as const,
    );
    const out = join(copy, "out");
    const converting = convert({
      inputs: { base: base!, delta: delta! },
      weights: "q8",
      out,
      workers: 1,
      // All weights are read; the last file's sum is not taken yet.
      onProgress: (_, done, total) => {
        if (done === total) utimesSync(join(copy, name), 1e9, 1e9);
      },
    });
    await expect(converting).rejects.toThrow(/changed while it was|now \d+ bytes of 2001-/);
    expect(await readdir(out)).not.toContain(INDEX);
  });

  test("does not take the sum of a file that is another than the one converted", async () => {
    const copy = place("replaced");
    await cp(release.base, copy, { recursive: true });
    const { files, reopen } = await openInputs(await openSources({ model: { kind: "folder", path: copy } }));
    const file = files.get("model/pytorch_model-00001-of-00002.bin")!;
    expect((await reopen(file)).size).toBe(file.size);
    await utimes(join(copy, "pytorch_model-00001-of-00002.bin"), 1e9, 1e9);
    await expect(reopen(file)).rejects.toThrow(`${file.name} changed while it was converted`);
    await rm(join(copy, "pytorch_model-00001-of-00002.bin"));
    await expect(reopen(file)).rejects.toThrow("now gone");
  });
});

test("a conversion of a damaged PyTorch file is not finished", async () => {
  const delta = place("damaged");
  await cp(release.delta, delta, { recursive: true });
  const shard = join(delta, "pytorch_model-00001-of-00002.bin");
  const bytes = await readFile(shard);
  // The checksum that the directory gives of the first tensor: before its name, at byte 46 of the record.
  bytes.writeUInt32LE(1, bytes.lastIndexOf("archive/data/0") - 46 + 16);
  await writeFile(shard, bytes);
  const out = place("damaged out");
  const { code, err } = await run("convert", "--base", release.base, "--delta", delta, "--out", out);
  expect({ code, err }).toEqual({
    code: 1,
    err: expect.stringContaining(
      "archive/data/0 in delta/pytorch_model-00001-of-00002.bin does not have the checksum",
    ),
  });
  expect(await readdir(out)).not.toContain(INDEX);
});
