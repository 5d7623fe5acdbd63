import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openFolder } from "../../node/files.ts";
import { packageRoot } from "../../node/host.ts";
import { embeddedModel } from "../../node/index.ts";
import { crc32 } from "../../src/checkpoint/crc32.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { INDEX, UNFINISHED_INDEX } from "../../src/checkpoint/source.ts";
import { VERSION } from "../../src/convert/earlier.ts";
import { readSums } from "../../src/convert/manifest.ts";
import { toHalf } from "../../src/f16.ts";
import { packRows, unpackRows } from "../../src/quantize/pack.ts";
import { contents, run, sha256 } from "../support/convert.ts";
import { type Release, writeRelease } from "../support/release.ts";

const EXECUTABLE = join(packageRoot, "dist", "node", "cli.js");

let folder = "";
let release: Release;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ziya-convert-"));
  release = await writeRelease(join(folder, "release"));
});
afterAll(() => rm(folder, { recursive: true }));

const merging = (of: Release = release) => ["--base", of.base, "--delta", of.delta];
const place = (name: string) => join(folder, name);

/** The result, whose command must succeed. */
async function convert(name: string, ...flags: string[]): Promise<string> {
  const result = await run("convert", ...merging(), "--out", place(name), ...flags);
  expect(result).toMatchObject({ code: 0, err: "" });
  return place(name);
}

/** ‖w - ŵ‖ / ‖w‖ */
function relativeError(weights: Float32Array, found: Float32Array): number {
  const norm = (values: Float32Array) => Math.sqrt(values.reduce((sum, v) => sum + v * v, 0));
  return norm(weights.map((weight, i) => weight - found[i]!)) / norm(weights);
}

describe("ziya convert", () => {
  test("packs what base and delta make together", async () => {
    const report = place("report.json");
    const result = await run(
      "convert",
      ...merging(),
      "--out",
      place("packed"),
      "--report",
      report,
      "--json",
      "--shard-size",
      "1",
    );
    expect(result).toMatchObject({ code: 0, err: "" });
    const summary = JSON.parse(result.out);
    const matrices = [...release.shapes.values()].filter(([, columns]) => columns !== undefined);
    const total = (each: (columns: number) => number) =>
      matrices.reduce((sum, [rows, columns]) => sum + rows! * each(columns!), 0);
    // Short rows pay for a whole block of scales.
    const bytes = total((columns) => columns / 2 + 16 * Math.ceil(columns / 256));
    expect(summary).toMatchObject({ weights: "q4", shards_found: 0 });
    expect(summary.bits_per_weight).toBeCloseTo((8 * bytes) / total((columns) => columns), 9);
    const { tensors: figures } = JSON.parse(await readFile(report, "utf8"));

    const checkpoint = await openCheckpoint(openFolder(place("packed")));
    expect(checkpoint.packed!.format).toBe("q4");
    expect([...checkpoint.tensors.keys()].sort()).toEqual([...release.shapes.keys()].sort());
    for (const [name, [rows, columns]] of release.shapes) {
      const weights = release.merged.get(name)!;
      if (columns === undefined) {
        expect(await checkpoint.readRows(name, 0, rows!)).toEqual(weights);
        continue;
      }
      const packed = packRows("q4", weights, columns);
      expect(await checkpoint.packed!.readRows(name, 0, rows!)).toEqual(packed);
      const error = relativeError(weights, unpackRows("q4", packed, rows!, columns));
      expect(figures[name].relative_error).toBeCloseTo(error, 6);
    }
  });

  test("takes config and tokenizer from the delta, and notes the sums of every file", async () => {
    const out = await convert("sums");
    for (const name of ["config.json", "tokenizer.model"]) {
      expect(await readFile(join(out, name))).toEqual(await readFile(join(release.delta, name)));
    }
    const { shards, files, sources } = await readSums((await openFolder(out)(INDEX))!);
    expect(sources.length).toBe(9);
    for (const { name, size, sha256: sum } of [...shards, ...files, ...sources]) {
      const path = name.replace(/^base/, release.base).replace(/^delta/, release.delta);
      const bytes = await readFile(path === name ? join(out, name) : path);
      expect([name, size, sum]).toEqual([name, bytes.length, sha256(bytes)]);
    }
    expect((await readdir(out)).sort()).toEqual(
      [INDEX, ...[...shards, ...files].map(({ name }) => name)].sort(),
    );
  });

  test("gives the same bytes with any number of workers, and as f16 what a plain checkpoint holds", async () => {
    const one = await convert("one", "--workers", "1", "--shard-size", "1", "--weights", "f16");
    const three = await convert("three", "--workers", "3", "--shard-size", "1", "--weights", "f16");
    expect(await contents(three)).toEqual(await contents(one));
    const checkpoint = await openCheckpoint(openFolder(one));
    for (const [name, [rows]] of release.shapes) {
      expect(await checkpoint.readRows(name, 0, rows!)).toEqual(release.merged.get(name));
    }
    // A whole model by itself, and no matter that its vectors are f32.
    const again = await run("convert", "--model", one, "--out", place("again"), "--weights", "q4");
    expect(again).toMatchObject({ code: 0, err: "" });
    const whole = await openCheckpoint(openFolder(place("again")));
    const name = "model.layers.1.mlp.down_proj.weight";
    const [rows = 0, columns = 0] = release.shapes.get(name)!;
    expect(await whole.packed!.readRows(name, 0, rows)).toEqual(
      packRows("q4", release.merged.get(name)!, columns),
    );
  });

  test("is done when it is run again, and refuses folders with anything else", async () => {
    const out = await convert("done");
    const before = await contents(out);
    expect(await run("convert", ...merging(), "--out", out)).toMatchObject({
      code: 0,
      out: `${out} is finished already.\n`,
    });
    expect(await contents(out)).toEqual(before);
    const other = await run("convert", ...merging(), "--out", out, "--weights", "q8");
    expect(other).toMatchObject({ code: 1, err: expect.stringContaining("finished checkpoint of another") });
    const source = await run("convert", ...merging(), "--out", release.delta);
    expect(source).toMatchObject({ code: 1, err: expect.stringContaining("no conversion that was begun") });
    expect(await contents(out)).toEqual(before);
  });
});

describe("a conversion that is stopped", () => {
  const flags = ["--weights", "f32", "--shard-size", "1", "--workers", "1"];
  /** Twenty shards, so that there is time to stop it. */
  let long: Release;
  beforeAll(async () => {
    long = await writeRelease(join(folder, "long"), { num_hidden_layers: 24 });
  });

  async function start(out: string): Promise<ChildProcess> {
    const child = spawn(process.execPath, [EXECUTABLE, "convert", ...merging(long), "--out", out, ...flags]);
    const started = async () =>
      (await readdir(out).catch(() => [])).some((name) => name.endsWith(".safetensors"));
    while (!(await started())) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(child.exitCode).toBe(null);
    return child;
  }

  test.each(["SIGKILL", "SIGINT"] as const)(
    "by %s goes on where it was, to the same bytes",
    async (signal) => {
      const whole = place(`whole ${signal}`);
      expect(await run("convert", ...merging(long), "--out", whole, ...flags)).toMatchObject({
        code: 0,
        err: "",
      });
      const out = place(`stopped ${signal}`);
      const child = await start(out);
      const ended = once(child, "exit");
      child.kill(signal);
      expect(await ended).toEqual(signal === "SIGKILL" ? [null, "SIGKILL"] : [130, null]);

      await expect(openCheckpoint(openFolder(out))).rejects.toThrow("a conversion that was stopped");
      expect((await run("verify", out)).err).toContain("not finished");
      const journal = JSON.parse(await readFile(join(out, UNFINISHED_INDEX), "utf8"));
      const finished = Object.keys(journal.shards);
      const times = await Promise.all(finished.map(async (name) => (await stat(join(out, name))).mtimeMs));
      const result = await run("convert", ...merging(long), "--out", out, ...flags, "--json");
      expect(result).toMatchObject({ code: 0, err: "" });
      expect(JSON.parse(result.out).shards_found).toBe(finished.length);
      expect(await contents(out)).toEqual(await contents(whole));
      const after = await Promise.all(finished.map(async (name) => (await stat(join(out, name))).mtimeMs));
      expect(after).toEqual(times);
    },
  );

  test("is not mixed with another, and not with sources that changed", async () => {
    const copy = place("copy");
    await cp(join(folder, "release"), copy, { recursive: true, preserveTimestamps: true });
    const sources = ["--base", join(copy, "base"), "--delta", join(copy, "delta")];
    const out = await convert("begun", "--shard-size", "1");
    // As if it had been stopped before its end: the journal is there, and the index is not.
    const journal = {
      conversion: VERSION,
      weights: "q4",
      shard_bytes: 1048576,
      sources: await sourceFiles(copy),
      shards: {},
      sums: {},
    };
    await rm(join(out, INDEX));
    await writeFile(join(out, UNFINISHED_INDEX), JSON.stringify(journal));

    const refusals: [string[], string][] = [
      [["--weights", "q8", "--shard-size", "1"], "begun differently: as q4, and now as q8"],
      [["--shard-size", "2"], "with shards of 1048576 bytes, and now of 2097152"],
    ];
    for (const [changed, reason] of refusals) {
      const result = await run("convert", ...sources, "--out", out, ...changed);
      expect(result).toMatchObject({ code: 1, err: expect.stringContaining(reason) });
    }
    const touched = join(copy, "base", "pytorch_model-00002-of-00002.bin");
    await utimes(touched, 1e9, 1e9);
    const result = await run("convert", ...sources, "--out", out, "--shard-size", "1");
    expect(result.err).toMatch(
      /base\/pytorch_model-00002-of-00002.bin had \d+ bytes of .*, and has \d+ bytes of 2001-09-09T01:46:40.000Z now/,
    );
  });

  async function sourceFiles(copy: string) {
    const files = ["base", "delta"].map(async (part) => {
      const names = await readdir(join(copy, part));
      return Promise.all(
        names.map(async (name) => {
          const { size, mtimeMs } = await stat(join(copy, part, name));
          return { name: `${part}/${name}`, size, modified: mtimeMs };
        }),
      );
    });
    return (await Promise.all(files)).flat();
  }
});

describe("inputs and outputs that do not do", () => {
  const refusals: [string, () => string[], number, string][] = [
    ["nothing to convert", () => [], 2, "Wanted either --model, or --base and --delta."],
    ["a delta without base", () => ["--delta", release.delta], 2, "Wanted either --model"],
    ["model and delta", () => [...merging(), "--model", release.delta], 2, "Wanted either --model"],
    ["a format", () => [...merging(), "--weights", "q5"], 2, '--weights is "q5"; wanted f32, f16, q8'],
    [
      "a shard size",
      () => [...merging(), "--shard-size", "0.5"],
      2,
      "--shard-size is 0.5; wanted a whole number",
    ],
    [
      "a rung without calibration",
      () => [...merging(), "--rung", "core"],
      2,
      "--rung is for the adapter that",
    ],
    ["one argument too many", () => [...merging(), "more"], 2, "There is 1 argument besides the flags"],
    ["a delta as model", () => ["--model", release.delta], 1, "is a delta"],
    ["parts swapped", () => ["--base", release.delta, "--delta", release.base], 1, "swapped"],
    ["a base for both", () => ["--base", release.base, "--delta", release.base], 1, "is a whole model"],
    ["a folder that is not there", () => ["--model", place("none")], 1, "given as the model, does not exist"],
    ["a file", () => ["--model", EXECUTABLE], 1, "given as the model, is a file"],
    [
      "a folder without weights",
      () => ["--model", folder],
      1,
      `${folder}, given as the model, has no weights`,
    ],
  ];
  test.each(refusals)("%s", async (name, flags, code, reason) => {
    const out = place(`refused ${name}`);
    const result = await run("convert", ...flags(), "--out", out);
    expect(result).toMatchObject({ code, out: "", err: expect.stringContaining(reason) });
    expect(await stat(out).catch(() => undefined)).toBeUndefined();
  });

  test("a packed checkpoint, a missing shard, a weight that is no number", async () => {
    const packed = await convert("input");
    expect((await run("convert", "--model", packed, "--out", place("twice"))).err).toContain(
      "The model is packed as q4 already",
    );
    const holed = place("holed");
    await cp(release.delta, join(holed, "delta"), { recursive: true });
    const shard = join(holed, "delta", "pytorch_model-00002-of-00002.bin");
    const bytes = await readFile(shard);
    await rm(shard);
    const sources = ["--base", release.base, "--delta", join(holed, "delta")];
    expect((await run("convert", ...sources, "--out", place("missing"))).err).toContain(
      "delta/pytorch_model.bin.index.json puts tensors into pytorch_model-00002-of-00002.bin, which is not there",
    );
    // The last tensor's last half; the zip's directory is behind it.
    const name = "lm_head.weight";
    const at = bytes.indexOf(Buffer.from(new Uint8Array(lastHalves(name)))) + 62;
    const size = 2 * release.merged.get(name)!.length;
    const storage = bytes.subarray(at + 2 - size, at + 2);
    const checksum = bytes.lastIndexOf(new Uint8Array(Uint32Array.of(crc32(storage)).buffer));
    bytes.writeUInt16LE(0x7e00, at);
    bytes.writeUInt32LE(crc32(storage), checksum);
    await writeFile(shard, bytes);
    const result = await run("convert", ...sources, "--out", place("nan"));
    expect(result.code).toBe(1);
    expect(result.err).toMatch(
      /lm_head.weight in delta\/pytorch_model-00002-of-00002.bin: The weight at row 300, column 127 is NaN/,
    );
    expect((await readdir(place("nan"))).filter((file) => file.endsWith(".partial"))).toEqual([]);
  });

  test("a model without a tokenizer, or with one that cannot be read or has too many tokens", async () => {
    const copy = place("speechless");
    await cp(release.delta, copy, { recursive: true });
    const refused = async () => {
      const out = place("speechless out");
      const { code, err } = await run("convert", "--base", release.base, "--delta", copy, "--out", out);
      expect(await stat(out).catch(() => undefined)).toBeUndefined();
      return `${code} ${err}`;
    };
    await writeFile(join(copy, "tokenizer.model"), "no tokenizer");
    expect(await refused()).toMatch(/^1 ziya: .*tokenizer.model/);
    await cp(join(embeddedModel, "tokenizer.model"), join(copy, "tokenizer.model"));
    expect(await refused()).toMatch(/^1 ziya: The tokenizer has \d+ tokens, the model only 301 rows/);
    await rm(join(copy, "tokenizer.model"));
    expect(await refused()).toContain(
      "1 ziya: The checkpoint has neither tokenizer.model nor tokenizer.json",
    );
  });

  /** The bytes of a tensor's last 32 halves. */
  function lastHalves(name: string): ArrayBuffer {
    const weights = release.merged.get(name)!.slice(-32);
    const halves = new Uint16Array(32);
    for (const [i, weight] of weights.entries()) halves[i] = toHalf(weight);
    return halves.buffer;
  }
});

describe("ziya verify", () => {
  let good = "";
  beforeAll(async () => {
    good = await convert("good", "--shard-size", "1");
  });

  async function damaged(name: string, damage: (path: string) => Promise<void>): Promise<string> {
    const path = place(name);
    await cp(good, path, { recursive: true });
    await damage(path);
    const { code, out, err } = await run("verify", path);
    expect({ code, out }).toEqual({ code: 1, out: "" });
    return err;
  }

  test("says that a result is good", async () => {
    const { code, out } = await run("verify", good);
    expect(code).toBe(0);
    expect(out).toMatch(new RegExp(`^OK: 1 shard, .* ${release.shapes.size} tensors \\(q4\\)`));
    const { sha256: all, ...found } = JSON.parse((await run("verify", good, "--json")).out);
    const sums = await readSums((await openFolder(good)(INDEX))!);
    expect(found).toMatchObject({ shards: 1, weights: "q4", sources: sums.sources });
    expect(all).toBe(sha256(Buffer.from(sums.shards.map((shard) => `${shard.sha256}\n`).join(""))));
    expect(out).toContain(all);
    const wide = await convert("wide", "--weights", "f16", "--shard-size", "1");
    expect((await run("verify", wide)).out).toMatch(/^OK: 2 shards, .* tensors \(plain\)/);
  });

  test("names what is wrong", async () => {
    const [shard = ""] = (await readdir(good)).filter((name) => name.endsWith(".safetensors"));
    const bytes = await readFile(join(good, shard));
    const changed = Buffer.from(bytes);
    changed[bytes.length - 1]! ^= 1;
    expect(await damaged("changed", (path) => writeFile(join(path, shard), changed))).toContain(
      `${shard} has the SHA-256 ${sha256(changed)}`,
    );
    expect(
      await damaged("shadowed", (path) => cp(join(path, shard), join(path, "model.safetensors"))),
    ).toContain("has model.safetensors beside the shards");
    expect(await damaged("cut", (path) => writeFile(join(path, shard), bytes.subarray(1)))).toContain(
      `${shard} has ${bytes.length - 1} bytes`,
    );
    expect(await damaged("less", (path) => rm(join(path, shard)))).toContain(`${shard} is missing`);
    expect(await damaged("headless", (path) => rm(join(path, INDEX)))).toContain(`has no ${INDEX}`);
    expect(await damaged("nameless", (path) => rm(join(path, "config.json")))).toContain(
      "config.json is missing",
    );
    const config = await readFile(join(good, "config.json"), "utf8");
    const taller = config.replace('"vocab_size":301', '"vocab_size":302');
    expect(await damaged("taller", (path) => writeFile(join(path, "config.json"), taller))).toContain(
      `config.json has the SHA-256 ${sha256(Buffer.from(taller))}`,
    );
    // With a sum to match, as of an index that was changed too.
    const index = await readFile(join(good, INDEX), "utf8");
    const matching = async (path: string) => {
      await writeFile(join(path, "config.json"), taller);
      await writeFile(
        join(path, INDEX),
        index.replace(sha256(Buffer.from(config)), sha256(Buffer.from(taller))),
      );
    };
    expect(index.indexOf(sha256(Buffer.from(config)))).toBeLessThan(index.indexOf('"sources"'));
    expect(await damaged("matching", matching)).toContain("config.json calls for [302,128]");
  });

  test("takes one folder", async () => {
    expect(await run("verify")).toMatchObject({ code: 2, err: expect.stringContaining("is missing") });
    await mkdir(place("empty"));
    expect((await run("verify", place("empty"))).err).toContain("no converted checkpoint");
  });
});
