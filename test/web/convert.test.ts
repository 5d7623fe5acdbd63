import { cp, mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BrowserContext } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { convert as convertInNode } from "../../node/convert/convert.ts";
import { type InputDescription, openSources } from "../../node/convert/inputs.ts";
import { INDEX, UNFINISHED_INDEX } from "../../src/checkpoint/source.ts";
import { IMPORTANCE } from "../../src/convert/calibrate.ts";
import { VERSION } from "../../src/convert/earlier.ts";
import { openInputs } from "../../src/convert/inputs.ts";
import type { WeightFormat } from "../../src/stored.ts";
import { expectBrowser, hasBrowser, useSources } from "../support/browser.ts";
import { contents } from "../support/convert.ts";
import {
  type Conversion,
  type ConvertTab,
  openConvertTab,
  type Parts,
  SHARD_BYTES,
} from "../support/convert-page.ts";
import { LONG_TASK_MS, leastOf } from "../support/page.ts";
import { type Release, writeRelease } from "../support/release.ts";

expectBrowser();

/** Vulkan as Chromium brings it. */
const SWIFTSHADER = "/usr/lib/chromium/vk_swiftshader_icd.json";

/** A piece that is hashed, or what base and delta have of a block that is packed. */
const MOST_READ = 8 * 1024 * 1024;
describe.skipIf(!hasBrowser)("a release that is converted in a tab", () => {
  let folder = "";
  let release: Release;
  const sources = useSources();
  let context: BrowserContext;
  let tab: ConvertTab;
  const place = (name: string) => join(folder, name);

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "ziya-tab-"));
    release = await writeRelease(place("release"));
    context = await sources.browser.newContext();
    tab = await openConvertTab(context, sources.server);
  });

  afterAll(async () => {
    if (folder) await rm(folder, { recursive: true });
  });

  const partsOf = ({ base, delta }: Pick<Release, "base" | "delta">) => {
    return { base: { kind: "folder", path: base }, delta: { kind: "folder", path: delta } } as const;
  };

  async function sizeOf(path: string): Promise<number> {
    const sizes = (await readdir(path)).map(async (name) => (await stat(join(path, name))).size);
    return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
  }

  /** What Node makes of it. */
  async function here(
    name: string,
    { weights, inputs = partsOf(release) }: { weights: WeightFormat; inputs?: InputDescription },
  ): Promise<Record<string, string>> {
    const out = place(name);
    await convertInNode({ inputs, weights, out, shardBytes: SHARD_BYTES, workers: 2 });
    return contents(out);
  }

  test("has every byte that Node gives it, and leaves the page's thread alone", async () => {
    await tab.choose({ base: release.base, delta: release.delta });
    const { progress, model, listed, again, long } = (await tab.page.evaluate(`(async () => {
      const { openModels } = await import(${JSON.stringify(sources.server.address("web/index.ts"))});
      const models = openModels();
      const progress = [];
      await longTasks(); // of importing
      const onProgress = (told) => progress.push(told);
      const model = await models.convert("whole", chosen(), { onProgress });
      const long = await longTasks();
      const again = await models.convert("whole", chosen()).catch(({ message }) => message);
      const listed = await models.list();
      models.close();
      return { progress, model, listed, again, long };
    })()`)) as Record<"model" | "again", unknown> & {
      readonly progress: Conversion["progress"];
      readonly listed: readonly unknown[];
      readonly long: readonly number[];
    };
    /** Of the page's tasks while a release is converted the longest, where one is above 50 ms. */
    const longest = (name: string) =>
      tab.page.evaluate<number>(`(async () => {
        const { openModels } = await import(${JSON.stringify(sources.server.address("web/index.ts"))});
        const models = openModels();
        await longTasks();
        await models.convert(${JSON.stringify(name)}, chosen());
        const long = await longTasks();
        await models.delete(${JSON.stringify(name)});
        models.close();
        return Math.max(0, ...long);
      })()`);
    expect(await leastOf(() => longest("once more"), Math.max(0, ...long))).toBeLessThan(LONG_TASK_MS);
    const out = place("whole");
    await convertInNode({ inputs: partsOf(release), weights: "q4", out, workers: 1 });
    expect(await tab.stored("whole")).toEqual(await contents(out));
    expect(model).toMatchObject({ name: "whole", whole: true, weights: "q4", done: await sizeOf(out) });
    expect(listed).toEqual([model]);
    expect([...new Set(progress.map(({ phase }) => phase))]).toEqual(["convert", "check"]);
    const { done, total } = progress.findLast(({ phase }) => phase === "convert")!;
    expect(done).toBe(total);
    expect(total).toBeGreaterThan(2 * 1024 * 1024);
    expect(again).toBe("whole is in the browser's storage already: choose another name, or delete it.");
  });

  test("is one of safetensors in a folder that a page may read, too", async () => {
    const model = place("safetensors");
    await convertInNode({ inputs: partsOf(release), weights: "f16", out: model, workers: 1 });
    await tab.choose({ model });
    // As the handle of a dropped folder: the browser's own folder has such a one.
    await tab.page.evaluate(`(async () => {
      const root = await navigator.storage.getDirectory();
      window.handle = await root.getDirectoryHandle("dropped", { create: true });
      for (const file of document.querySelector("input").files) {
        const handle = await window.handle.getFileHandle(file.name, { create: true });
        await file.stream().pipeTo(await handle.createWritable());
      }
    })()`);
    const { failure } = await tab.convert("handle", { weights: "q8", handle: true });
    expect(failure).toBeUndefined();
    const inputs = { model: { kind: "folder", path: model } } as const;
    expect(await tab.stored("handle")).toEqual(await here("handle", { weights: "q8", inputs }));
  });

  describe("and stopped in the middle", () => {
    let long: Release;
    let wanted: Record<string, string>;
    beforeAll(async () => {
      long = await writeRelease(place("long"), { num_hidden_layers: 8 });
      wanted = await here("long out", { weights: "f32", inputs: partsOf(long) });
    });

    /** Shards that are there, by name, with the time at which each was written. */
    const shards = async (name: string): Promise<[string, number][]> =>
      tab.page.evaluate(`(async () => {
        const folder = await filesOf(${JSON.stringify(name)});
        const found = [];
        for await (const [name, handle] of folder.entries()) {
          if (name.endsWith(".safetensors")) found.push([name, (await handle.getFile()).lastModified]);
        }
        return found.sort();
      })()`);

    test.each(["by its tab's end", "by the page"])(
      "%s goes on where it was, to the same bytes",
      async (how) => {
        const asked = { weights: "f32", workers: 1 };
        await tab.choose({ base: long.base, delta: long.delta });
        await tab.begin(how, asked);
        await expect
          .poll(async () => (await shards(how)).length, { timeout: 20_000, interval: 2 })
          .toBeGreaterThan(1);
        if (how === "by the page") {
          await tab.page.evaluate("converter.postMessage({})");
          expect((await tab.ended()).failure).toBe("Error: stopped by the page");
        } else {
          await tab.page.close();
          tab = await openConvertTab(context, sources.server);
        }
        const before = await shards(how);
        expect(before.length).toBeLessThan(Object.keys(wanted).length - 3);
        expect(await tab.stored(how)).not.toHaveProperty(INDEX);
        expect(await tab.stored(how)).toHaveProperty(UNFINISHED_INDEX);

        await tab.choose({ base: long.base, delta: long.delta });
        const { failure, progress } = await tab.convert(how, asked);
        expect(failure).toBeUndefined();
        expect(await tab.stored(how)).toEqual(wanted);
        // The last one may have come to its end and not into the journal.
        expect((await shards(how)).slice(0, before.length - 1)).toEqual(before.slice(0, -1));
        const first = progress.find(({ phase }) => phase === "convert")!;
        expect(first.done).toBeGreaterThan(first.total / Object.keys(wanted).length);
      },
    );
  });

  test("ended when all but the last check of it was done, is checked and there", async () => {
    await tab.choose({ base: release.base, delta: release.delta });
    await tab.begin("checked", { endAt: "check" });
    await tab.page.waitForFunction('conversion.progress.some(({ phase }) => phase === "check")');
    expect(await tab.stored("checked")).toHaveProperty(INDEX);
    const { failure, progress, result } = await tab.convert("checked");
    expect(failure).toBeUndefined();
    expect(result).toMatchObject({ whole: true });
    expect(progress.filter(({ phase }) => phase !== "check")).toEqual([]);
    expect(await tab.stored("checked")).toEqual(await here("checked", { weights: "q4" }));
  });

  test("goes on when there is room again, after the storage was full", async () => {
    await tab.choose({ base: release.base, delta: release.delta });
    const session = await context.newCDPSession(tab.page);
    const { origin } = new URL(sources.server.blank);
    const { usage } = await session.send("Storage.getUsageAndQuota", { origin });
    // The browser says that there is room, and when it comes to writing there is not.
    await session.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: usage + 300_000 });
    const { failure } = await tab.convert("full", { free: 1e9, workers: 1 });
    await session.send("Storage.overrideQuotaForOrigin", { origin });
    expect(failure).toMatch(
      /^StorageError: full needs more room, .*, and begin again: what is there is kept\.$/,
    );
    expect((await tab.convert("full")).failure).toBeUndefined();
    expect(await tab.stored("full")).toEqual(await here("full", { weights: "q4" }));
  });

  test("is read and packed in pieces of bounded size", async () => {
    const wide = { hidden_size: 1024, intermediate_size: 2560, num_attention_heads: 8, num_hidden_layers: 1 };
    const { base, delta } = await writeRelease(place("wide"), wide);
    const { size } = await stat(join(delta, "pytorch_model-00001-of-00002.bin"));
    await tab.choose({ base, delta });
    expect((await tab.convert("wide", { weights: "f16", workers: 1 })).failure).toBeUndefined();
    const most = (await tab.page.evaluate("mostRead")) as number;
    expect(size).toBeGreaterThan(MOST_READ);
    expect(most).toBeGreaterThan(MOST_READ / 4);
    expect(most).toBeLessThanOrEqual(MOST_READ);
  });

  test("is refused where it cannot be, in Node's sentences", async () => {
    const refused = async (parts: Parts, options?: Parameters<ConvertTab["convert"]>[1]) => {
      await tab.choose(parts);
      const { failure } = await tab.convert("refused", options);
      return failure;
    };
    const inNode = async (inputs: InputDescription) =>
      convertInNode({ inputs, weights: "q4", out: place("refused"), workers: 1 }).then(
        () => "converted",
        (error: Error) => `${error.name}: ${error.message}`,
      );
    const { base, delta } = release;
    expect(await refused({ base: delta, delta: base })).toBe(
      await inNode(partsOf({ base: delta, delta: base })),
    );

    // A base of the same shape whose embeddings are another model's.
    const stranger = place("stranger");
    await cp(base, stranger, { recursive: true });
    await cp(
      join(delta, "pytorch_model-00001-of-00002.bin"),
      join(stranger, "pytorch_model-00001-of-00002.bin"),
    );
    const wrong = await refused({ base: stranger, delta });
    expect(wrong).toMatch(/^CheckpointError: /);
    expect(wrong).toBe(await inNode(partsOf({ base: stranger, delta })));

    // Chosen, and then written over.
    await tab.choose({ base: stranger, delta });
    await utimes(join(stranger, "pytorch_model-00002-of-00002.bin"), 1e9, 1e9);
    expect((await tab.convert("refused")).failure).toMatch(
      /^CheckpointError: pytorch_model-00002-of-00002.bin could not be read at byte \d+: choose the file again/,
    );

    expect(await refused({ delta })).toBe(
      "OptionError: Wanted either the files of a model, or those of a base and of its delta.",
    );
    expect(await refused({ model: place("release") })).toMatch(
      /^CheckpointError: The model has two checkpoints, with \S+\/config.json and \S+\/config.json: give the files of one/,
    );
    expect(await refused({ base, delta }, { weights: "q5" })).toBe(
      'OptionError: weights is "q5"; wanted f32, f16, q8, q4.',
    );
    expect(await refused({ base, delta }, { weights: "q8", calibration: "text" })).toBe(
      "OptionError: A calibration text chooses scales of q4; weights is q8.",
    );
    expect(await refused({ base, delta }, { free: 100_000 })).toMatch(
      /^StorageError: refused needs [\d.]+ MB more, and the browser's storage has 0\.10 MB free\. Delete a model that/,
    );
  });

  test("calibrated, has the bytes that Node makes of what the page's GPU measured", async () => {
    const text = "一丁丂七丄丅 ".repeat(44);
    await tab.choose({ base: release.base, delta: release.delta });
    await tab.begin("calibrated", { calibration: text });
    const importance = await measured("calibrated");
    const { failure, progress } = await tab.ended();
    expect(failure).toBeUndefined();
    expect(progress[0]).toMatchObject({ phase: "calibrate" });

    const calibration = place("calibration.txt");
    await writeFile(calibration, text);
    const inputs = { ...partsOf(release), calibration };
    await seed(place("seeded"), inputs, importance);
    const found = await tab.stored("calibrated");
    expect(found).toEqual(await here("seeded", { weights: "q4", inputs }));
    expect(found).not.toEqual(await here("uncalibrated", { weights: "q4" }));
    // The same driver measures the same bits in both, which takes Node as long again.
    if (!process.env.CALIBRATE_IN_NODE) return;
    process.env.VK_DRIVER_FILES = SWIFTSHADER;
    expect(found).toEqual(await here("measured", { weights: "q4", inputs }));
  });

  /** What a conversion keeps of its calibration until it is finished. */
  const measured = (name: string): Promise<string> =>
    tab.page.evaluate(`(async () => {
      for (;;) {
        if (conversion.failure) throw new Error(conversion.failure);
        const folder = await filesOf(${JSON.stringify(name)});
        const found = await folder.getFileHandle("${IMPORTANCE}").catch(() => undefined);
        if (found) return (await found.getFile()).text();
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })()`);

  /** A conversion that was stopped when it had measured that. */
  async function seed(out: string, inputs: InputDescription, importance: string): Promise<void> {
    const { files } = await openInputs(await openSources(inputs));
    const sources = [...files.values()];
    const begun = {
      conversion: VERSION,
      weights: "q4",
      shard_bytes: SHARD_BYTES,
      sources,
      shards: {},
      sums: {},
    };
    await mkdir(out);
    await writeFile(join(out, UNFINISHED_INDEX), JSON.stringify(begun));
    await writeFile(join(out, IMPORTANCE), importance);
  }
});
