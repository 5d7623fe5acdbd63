import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { main } from "../../node/commands/main.ts";
import { outputFolder } from "../../node/convert/folder.ts";
import { type InputDescription, openSources } from "../../node/convert/inputs.ts";
import { packageRoot } from "../../node/host.ts";
import { embeddedModel, load, openFolder } from "../../node/index.ts";
import { createSha256 } from "../../node/sha256.ts";
import { openCheckpoint } from "../../src/checkpoint/open.ts";
import { INDEX } from "../../src/checkpoint/source.ts";
import { calibrateOnce, IMPORTANCE, readWindows } from "../../src/convert/calibrate.ts";
import { openInputs } from "../../src/convert/inputs.ts";
import { readSums } from "../../src/convert/manifest.ts";
import { DeviceLostError } from "../../src/errors.ts";
import { loadText } from "../../src/generate/load-engine.ts";
import type { Host } from "../../src/host.ts";
import type { Importance } from "../../src/model/calibrate.ts";
import { packRows } from "../../src/quantize/pack.ts";
import { sha256 } from "../support/convert.ts";
import { LosingHost } from "../support/devices.ts";
import { testDeviceOptions } from "../support/gpu.ts";
import { fakeIo } from "../support/io.ts";
import { writeRelease } from "../support/release.ts";

const TEXT = "法国的首都是哪里? What is 12 plus 7? 重复:苹果 香蕉 西瓜. ".repeat(16);
const MATRIX = "model.layers.2.mlp.down_proj.weight";
const DEVICE = Object.entries(testDeviceOptions()).flatMap(([name, value]) => [`--${name}`, String(value)]);

let folder = "";
const place = (name: string) => join(folder, name);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ziya-calibrate-"));
  await writeFile(place("text.txt"), TEXT);
});
afterAll(() => rm(folder, { recursive: true }));

const flags = (out: string) => [
  "convert",
  ...["--model", embeddedModel, "--calibrate", place("text.txt"), "--out", place(out), "--shard-size", "1"],
  ...DEVICE,
];

const openFrom = async (description: InputDescription) => openInputs(await openSources(description));

async function run(...args: string[]) {
  const io = fakeIo();
  const code = await main(args, io);
  return { code, out: io.out(), err: io.err() };
}

async function contents(out: string): Promise<Map<string, string>> {
  const names = (await readdir(place(out))).sort();
  return new Map(
    await Promise.all(
      names.map(async (name) => [name, await readFile(join(place(out), name), "base64")] as const),
    ),
  );
}

let measuring: Promise<Importance> | undefined;
/** What an engine measures of the text. */
function measure(): Promise<Importance> {
  measuring ??= (async () => {
    const engine = await load({ weights: "q4", ...testDeviceOptions() });
    const ids = engine.tokenizer.encode(TEXT);
    const window = engine.model.contextLength < 512 ? engine.model.contextLength : 512;
    const windows: number[][] = [];
    for (let at = 0; at < ids.length; at += window - 1) {
      windows.push([engine.tokenizer.bosId, ...ids.slice(at, at + window - 1)]);
    }
    expect(windows.length).toBeGreaterThan(1);
    const importance = await engine.model.calibrate(windows);
    engine.destroy();
    return importance;
  })();
  return measuring;
}

describe("ziya convert --calibrate", () => {
  test("chooses the scales by what the model meets in the text", async () => {
    const { code, out, err } = await run(...flags("whole"));
    expect([code, err]).toEqual([0, ""]);
    expect(out).toMatch(
      / relative error [\d.]+ %: more than without a text, so that those of products are smaller\.\n/,
    );
    const importance = await measure();
    const exact = await openCheckpoint(openFolder(embeddedModel));
    const { shape } = exact.tensors.get(MATRIX)!;
    const [rows = 0, columns = 0] = shape;
    const weights = await exact.readRows(MATRIX, 0, rows);
    const found = await (await openCheckpoint(openFolder(place("whole")))).packed!.readRows(MATRIX, 0, rows);
    const calibrated = packRows("q4", weights, columns, importance.get(MATRIX));
    expect(found).toEqual(calibrated);
    expect(found).not.toEqual(packRows("q4", weights, columns));

    const { sources } = await readSums((await openFolder(place("whole"))(INDEX))!);
    expect(sources.map(({ name }) => name)).toContain("calibration/text.txt");
    expect(await readdir(place("whole"))).not.toContain(IMPORTANCE);
    expect((await run("verify", place("whole"))).code).toBe(0);
  });

  describe("whose device is lost", () => {
    /** Calibrates the same, on devices that are lost as they load (from the first shader on) or in the text. */
    async function calibrateLosing(name: string, places: readonly ("loading" | "text")[]) {
      const losing = new LosingHost();
      const { host } = losing;
      const inputs = await openFrom({
        model: { kind: "folder", path: embeddedModel },
        calibration: place("text.txt"),
      });
      const { tokenizer } = await loadText(openFolder(embeddedModel));
      const out = outputFolder(place(name));
      await out.make();
      const loseIn = (where: (typeof places)[number]) => {
        const { length } = losing.devices;
        if (places[length - 1] === where) losing.latest.device.destroy();
      };
      const readShader: Host["readShader"] = (shader) => {
        loseIn("loading");
        return host.readShader(shader);
      };
      const parts = {
        out,
        createSha256,
        withHost: <T>(use: (its: Host) => Promise<T>) => use({ ...host, readShader }),
      };
      const calibrating = calibrateOnce(inputs, (await readWindows(inputs, tokenizer))!, parts, {
        weights: "q4",
        device: testDeviceOptions(),
        onCalibration(done, total) {
          if (2 * done > total) loseIn("text");
        },
      });
      const outcome = await calibrating.catch((error: unknown) => error);
      losing.end();
      for (const { live } of losing.devices) expect(live.size).toBe(0);
      return { outcome, opened: losing.devices.length };
    }

    test("begins again, and measures the same", async () => {
      const { outcome, opened } = await calibrateLosing("lost", ["loading", "text"]);
      expect(outcome).toEqual(await measure());
      expect(opened).toBe(3);
    });

    test("ends where three are lost in a row", async () => {
      const { outcome, opened } = await calibrateLosing("hopeless", ["loading", "loading", "loading"]);
      expect(outcome).toBeInstanceOf(DeviceLostError);
      expect((outcome as Error).message).toMatch(/^The GPU device was lost 3 times .* was lost \(/);
      expect(opened).toBe(3);
    });
  });

  test("is not measured again after a stop, and gives the same bytes", async () => {
    const executable = join(packageRoot, "dist", "node", "cli.js");
    const child = spawn(process.execPath, [executable, ...flags("stopped")], { stdio: "ignore" });
    const ended = once(child, "exit");
    const measured = async () =>
      (await readdir(place("stopped")).catch((): string[] => [])).includes(IMPORTANCE);
    while (!(await measured())) await new Promise((resolve) => setTimeout(resolve, 1));
    child.kill("SIGKILL");
    expect(await ended).toEqual([null, "SIGKILL"]);

    const path = join(place("stopped"), IMPORTANCE);
    const kept = JSON.parse(await readFile(path, "utf8"));
    const { [MATRIX]: own, ...fewer } = kept.tensors;
    // What is multiplied with the same has the same numbers.
    const [Q, K] = ["q", "k"].map((name) => MATRIX.replace("mlp.down", `self_attn.${name}`));
    const [q, k] = [kept.tensors[Q!], kept.tensors[K!]];
    expect([q, new Set(Object.values(kept.tensors)).size]).toEqual([k, kept.inputs.length]);
    // The sum is right, as of one that somebody made: the numbers are looked at too.
    const crafted = (inputs: unknown, tensors: unknown) => ({
      sha256: sha256(Buffer.from(JSON.stringify({ inputs, tensors }))),
      inputs,
      tensors,
    });
    const numbers = (change: (values: Float32Array) => void) => {
      const values = new Float32Array(Uint8Array.from(Buffer.from(kept.inputs[own], "base64")).buffer);
      change(values);
      return Buffer.from(values.buffer).toString("base64");
    };
    const withMatrix = (values: unknown) => crafted(kept.inputs.with(own, values), kept.tensors);
    const withIndex = (index: unknown) => crafted(kept.inputs, { ...kept.tensors, [MATRIX]: index });
    expect(withMatrix(numbers(() => {}))).toEqual(kept);
    for (const damaged of [
      { ...kept, inputs: kept.inputs.with(own, "AAAA") },
      { ...kept, tensors: fewer },
      {},
      crafted(kept.inputs, fewer),
      crafted({}, kept.tensors),
      crafted(kept.inputs, null),
      ...["model.norm.weight", Q!].map((name) => crafted(kept.inputs, { ...kept.tensors, [name]: own })),
      ...[-1, kept.inputs.length, null, "length", q].map(withIndex),
      ...["AAAA", "AAAAAA==", 7, null].map(withMatrix),
      ...[Number.NaN, -1, Number.POSITIVE_INFINITY].map((value) =>
        withMatrix(numbers((all) => all.fill(value, 3, 4))),
      ),
      withMatrix(numbers((all) => all.fill(Number.NaN, all.length - 1))),
    ]) {
      await writeFile(path, JSON.stringify(damaged));
      expect(await run(...flags("stopped"))).toMatchObject({
        code: 1,
        err: `ziya: ${path} is damaged: empty the folder and begin again.\n`,
      });
    }
    await writeFile(path, JSON.stringify(kept));
    expect(await run(...flags("stopped"))).toMatchObject({ code: 0, err: "" });
    expect(await contents("stopped")).toEqual(await contents("whole"));
  });

  test("takes a text of any name", async () => {
    await writeFile(place("a:b.txt"), TEXT);
    const inputs = await openFrom({
      model: { kind: "folder", path: embeddedModel },
      calibration: place("a:b.txt"),
    });
    expect(inputs.calibration!.size).toBe(Buffer.byteLength(TEXT));
    const file = inputs.files.get("calibration/a:b.txt")!;
    expect((await inputs.reopen(file)).size).toBe(file.size);
  });

  test("is refused where it cannot be", async () => {
    const refused = async (text: string | Uint8Array, ...more: string[]) => {
      await writeFile(place("other.txt"), text);
      const model = ["--model", embeddedModel, "--out", place("refused"), "--calibrate", place("other.txt")];
      const { code, err } = await run("convert", ...model, ...more);
      return `${code} ${err}`;
    };
    expect(await refused("text", "--weights", "q8")).toContain(
      "2 ziya: --calibrate chooses scales of q4; --weights is q8.",
    );
    expect(await refused("")).toContain("1 ziya: calibration/other.txt has no text to calibrate on");
    expect(await refused(" \n\u3000\n".repeat(1000))).toContain("calibration/other.txt has no text");
    expect(await refused("一篇短文。")).toMatch(
      /other.txt has \d tokens; a calibration text has at least 256/,
    );
    expect(await refused(new Uint8Array([0xff, 0xfe]))).toContain("other.txt is not UTF-8");
    expect(await refused("text", "--calibrate", place("none.txt"))).toContain(
      "none.txt, given as the calibration text",
    );
  });

  test("refuses a text with an id above the model's rows, before the folder is made", async () => {
    const { base, delta, shapes } = await writeRelease(place("release"));
    const rows = shapes.get("model.embed_tokens.weight")![0]!;
    // An added token that needs no row as long as nothing writes it.
    const added = { [rows]: { content: "<extra>", special: false } };
    await writeFile(join(delta, "tokenizer_config.json"), JSON.stringify({ added_tokens_decoder: added }));
    await writeFile(place("extra.txt"), "\u4e00<extra>".repeat(300));
    const result = await run(
      ...["convert", "--base", base, "--delta", delta],
      ...["--calibrate", place("extra.txt"), "--out", place("extra")],
    );
    expect(result).toEqual({
      code: 1,
      out: "",
      err:
        `ziya: calibration/extra.txt has a token with the id ${rows}, and the model ends at ${rows - 1}; take added ` +
        "tokens out of the text.\n",
    });
    await expect(readdir(place("extra"))).rejects.toThrow("ENOENT");
    const { tokenizer } = await loadText(openFolder(delta));
    const last = tokenizer.decode([rows - 1]).repeat(300);
    await writeFile(place("extra.txt"), last);
    const inputs = await openFrom({
      base: { kind: "folder", path: base },
      delta: { kind: "folder", path: delta },
      calibration: place("extra.txt"),
    });
    expect((await readWindows(inputs, tokenizer))!.flat()).toContain(rows - 1);
  });
});
