import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openSources } from "../../node/convert/inputs.ts";
import { openFolder } from "../../node/files.ts";
import { INDEX, UNFINISHED_INDEX } from "../../src/checkpoint/source.ts";
import { VERSION } from "../../src/convert/earlier.ts";
import { openInputs } from "../../src/convert/inputs.ts";
import { readSums } from "../../src/convert/manifest.ts";
import { contents, run } from "../support/convert.ts";
import { type Release, writeRelease } from "../support/release.ts";

let folder = "";
let release: Release;
let whole: Record<string, string>;
const place = (name: string) => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ziya-repair-"));
  release = await writeRelease(place("release"));
  expect(await again(place("undamaged"))).toMatchObject({ code: 0, err: "" });
  whole = await contents(place("undamaged"));
});
afterAll(() => rm(folder, { recursive: true }));

const again = (out: string, delta = release.delta) =>
  run(
    "convert",
    "--base",
    release.base,
    "--delta",
    delta,
    "--out",
    out,
    "--shard-size",
    "1",
    "--weights",
    "f32",
    "--json",
  );

describe("files of an earlier run that were damaged", () => {
  const [first, second] = ["model-00001-of-00003.safetensors", "model-00002-of-00003.safetensors"];

  /** A copy of the result, with one bit of a shard flipped. */
  async function flipped(name: string, shard: string): Promise<string> {
    const out = place(name);
    await cp(place("undamaged"), out, { recursive: true, preserveTimestamps: true });
    const bytes = await readFile(join(out, shard));
    bytes[bytes.length - 1]! ^= 1;
    await writeFile(join(out, shard), bytes);
    return out;
  }

  test("are made again in a finished folder", async () => {
    const out = await flipped("repaired", first);
    await rm(join(out, second));
    await writeFile(join(out, `${first}.2147483647.partial`), "of a process that was killed");
    const result = await again(out);
    expect(result).toMatchObject({ code: 0, err: "" });
    const report = JSON.parse(result.out);
    expect(report).toMatchObject({ shards: 3, shards_found: 1 });
    expect(report).not.toHaveProperty("relative_error");
    expect(await contents(out)).toEqual(whole);
    expect((await run("verify", out)).code).toBe(0);
    await writeFile(join(out, "config.json.2147483647.partial"), "of a process that was killed");
    expect((await again(out)).out).toBe('{"finished_before":true}\n');
    expect(await contents(out)).toEqual(whole);
  });

  test("are none where the sources are others, of the same names and sizes", async () => {
    const copy = place("other weights");
    await cp(release.delta, copy, { recursive: true });
    const shard = join(copy, "pytorch_model-00002-of-00002.bin");
    const bytes = await readFile(shard);
    bytes[bytes.length >> 1]! ^= 1;
    await writeFile(shard, bytes);
    const out = place("undamaged");
    const { code, err } = await again(out, copy);
    expect(code).toBe(1);
    expect(err).toMatch(
      /undamaged holds the finished result of another delta\/pytorch_model-00002-of-00002\.bin: it was made from one with/,
    );
    expect(await contents(out)).toEqual(whole);
    expect((await again(out)).out).toBe('{"finished_before":true}\n');
  });

  test("and so are the files beside them", async () => {
    const out = place("texts");
    await cp(place("undamaged"), out, { recursive: true });
    await writeFile(join(out, "tokenizer.model"), "of something else");
    const result = await again(out);
    expect(result).toMatchObject({ code: 0, err: "" });
    expect(JSON.parse(result.out)).toMatchObject({ shards: 3, shards_found: 3 });
    expect(await contents(out)).toEqual(whole);
  });

  test("but not out of a tokenizer that is another now", async () => {
    const copy = place("other tokenizer");
    await cp(release.delta, copy, { recursive: true });
    const out = place("texts of another");
    await cp(place("undamaged"), out, { recursive: true });
    const model = await readFile(join(out, "tokenizer.model"));
    await rm(join(out, "tokenizer.model"));
    model[model.lastIndexOf(0xe4) + 1]! ^= 1; // in the last character
    await writeFile(join(copy, "tokenizer.model"), model);
    const { code, err } = await again(out, copy);
    expect({ code, err }).toEqual({
      code: 1,
      err: expect.stringContaining("delta/tokenizer.model has the size"),
    });
    expect(await readdir(out)).not.toContain(INDEX);
  });

  test("are made again by a conversion that goes on", async () => {
    const out = await flipped("gone on with", first);
    await unfinish(out);
    const result = await again(out);
    expect(result).toMatchObject({ code: 0, err: "" });
    expect(JSON.parse(result.out).shards_found).toBe(2);
    expect(await contents(out)).toEqual(whole);
  });

  test("must become what they were", async () => {
    const out = await flipped("other", first);
    const index = await readFile(join(out, INDEX), "utf8");
    await writeFile(join(out, INDEX), index.replace(whole[first]!, "0".repeat(64)));
    for (const _ of [1, 2]) {
      const { code, err } = await again(out);
      expect({ code, err }).toEqual({
        code: 1,
        err: expect.stringContaining(
          `${first} was damaged, and made again it has the SHA-256 ${whole[first]}`,
        ),
      });
      expect(await readdir(out)).not.toContain(INDEX);
    }
  });

  test("but not from a journal or an index that is damaged itself", async () => {
    const out = place("journal");
    await cp(place("undamaged"), out, { recursive: true });
    const index = JSON.parse(await readFile(join(out, INDEX), "utf8"));
    await unfinish(out);
    const refused = async (name: string, contents: unknown) => {
      const path = join(out, name);
      await writeFile(path, typeof contents === "string" ? contents : JSON.stringify(contents));
      const message = `ziya: ${path} is damaged: empty the folder and begin again.\n`;
      expect(await again(out)).toEqual({ code: 1, out: "", err: message });
    };
    const journal = JSON.parse(await readFile(join(out, UNFINISHED_INDEX), "utf8"));
    const shard = journal.shards[first];
    for (const changes of [
      { sources: undefined },
      { sources: [{}] },
      { sources: [{ ...journal.sources[0], modified: 1e300 }] },
      { shards: [] },
      { shards: { [first]: {} } },
      { shards: { [first]: { ...shard, errors: { a: {} } } } },
      { shards: { [first]: { ...shard, errors: 1 } } },
      { shards: { [first]: { sum: { ...shard.sum, name: "../a" } } } },
      { sums: { a: null } },
      { weights: { toString: 1 } },
      { shard_bytes: { toString: 1 } },
    ]) {
      await refused(UNFINISHED_INDEX, { ...journal, ...changes });
    }
    await refused(UNFINISHED_INDEX, JSON.stringify(journal).slice(0, -9));
    await refused(INDEX, "{");
    const [sum, ...sums] = index.metadata.shards;
    const shards = [{ ...sum, sha256: "none" }, ...sums];
    await refused(INDEX, { ...index, metadata: { ...index.metadata, shards } });
  });

  /** Puts a journal in the place of the index, as if the conversion had been stopped before its end. */
  async function unfinish(out: string): Promise<void> {
    const { shards, sources: sums } = await readSums((await openFolder(out)(INDEX))!);
    const { files } = await openInputs(
      await openSources({
        base: { kind: "folder", path: release.base },
        delta: { kind: "folder", path: release.delta },
      }),
    );
    const journal = {
      conversion: VERSION,
      weights: "f32",
      shard_bytes: 1048576,
      sources: [...files.values()],
      shards: Object.fromEntries(shards.map((sum) => [sum.name, { sum, errors: {} }])),
      sums: Object.fromEntries(sums.map((sum) => [sum.name, sum])),
    };
    await writeFile(join(out, UNFINISHED_INDEX), JSON.stringify(journal));
    await rm(join(out, INDEX));
  }
});
