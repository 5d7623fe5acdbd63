import type { Locator, Page } from "playwright-core";
import { describe, expect, test } from "vitest";
import { expectBrowser, hasBrowser } from "../support/browser.ts";
import type { Fake } from "../support/fake-engine.ts";
import { callsOf, complaints, hurry, say, useFakePages } from "../support/page.ts";

expectBrowser();

const file = (name: string, text = "{}") => ({ name, mimeType: "", buffer: Buffer.from(text) });
const CHECKPOINT = [file("config.json"), file("model.safetensors", "x".repeat(5000))];
const STORED = [
  { name: "ziya-tiny", whole: true, done: 11_800_000, total: 11_800_000, weights: "f16", changed: 0 },
  {
    name: "ziya-13b-q4",
    whole: true,
    done: 7.3e9,
    total: 7.3e9,
    weights: "q4",
    withheld: ["pytorch_model.bin", "generation_config.json", "chat_template.jinja"],
    changed: 0,
  },
  {
    name: "half",
    whole: false,
    done: 1e9,
    total: 4e9,
    url: "https://example.org/half/",
    withheld: ["chat_template.jinja"],
    changed: 0,
  },
  { name: "cut", whole: false, done: 1e9, total: 2e9, weights: "q4", changed: 0 },
];
const HUB = "https://huggingface.co/me/Ziya-13B-q4/resolve/main";

describe.skipIf(!hasBrowser)("the page's models, in Chromium", () => {
  const pages = useFakePages();
  let page: Page;

  const open = async (fake: Fake = {}, options = {}) => {
    page = await pages.open(fake, options);
    return page;
  };
  const openDialog = async (fake: Fake = {}) => {
    await open(fake);
    await page.locator("[data-model=ready]").waitFor();
    await page.locator("#model").click();
    await page.locator("#models li").first().waitFor();
  };
  const calls = async (name: string) =>
    (await callsOf(page)).filter(([call]) => call === name).map(([, args]) => args as unknown);
  const model = (name: string) => page.locator("#models li", { hasText: name });

  test("opens the embedded model from one folder beside the page", async () => {
    await open();
    await page.locator("[data-model=ready]").waitFor();
    const [source] = (await calls("load")) as [{ name: string }];
    expect(source.name).toBe("ziya-tiny");
  });

  test("tells bytes, rate and time left, pauses and goes on", async () => {
    await open({ loading: 60_000 });
    // One of ten steps on.
    await hurry(page, { loading: 60_000 });
    await page.locator("#loading", { hasText: /\d MB of 11\.8 MB · 3\.1 MB\/s · \d+ s left/ }).waitFor();
    await page.getByRole("button", { name: "Pause" }).click();
    await page.locator("#loading", { hasText: "paused" }).waitFor();
    expect(await page.locator("html").getAttribute("data-model")).toBe("paused");
    await page.getByRole("button", { name: "Resume" }).click();
    await expect.poll(() => calls("load")).toHaveLength(2);
    await hurry(page, { loading: 0 });
    await page.locator("[data-model=ready]").waitFor();
    expect(await calls("load")).toHaveLength(2);
  });

  test("lists what is stored, uses it, checks it and deletes", async () => {
    await openDialog({ stored: STORED, damaged: ["ziya-tiny"] });
    expect(await model("half").innerText()).toContain("25% fetched");
    expect(await model("ziya-13b-q4").innerText()).toContain("7.3 GB");
    // The weights are there in another form, and what is not whole is looked for again.
    await model("ziya-13b-q4").getByText("may lack 2 files").click();
    await model("ziya-13b-q4")
      .getByText("whether it has generation_config.json · chat_template.jinja.")
      .waitFor();
    expect(await page.locator("#models details").count()).toBe(1);
    // A conversion that was cut: only the person has its files.
    expect(await model("cut").innerText()).toContain("50% fetched · give the same files again to go on");
    expect(await model("cut").getByRole("button").count()).toBe(1);
    await page.getByRole("button", { name: "Delete half from the browser" }).click();
    await model("half").waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Check every byte of ziya-13b-q4" }).click();
    await page.locator(".notice", { hasText: "ziya-13b-q4 is whole: every byte is right" }).waitFor();
    await page.getByRole("button", { name: "Check every byte of ziya-tiny" }).click();
    await page.locator(".notice", { hasText: "ziya-tiny had wrong files" }).waitFor();
    await page.getByRole("button", { name: "Use ziya-13b-q4" }).click();
    await page.locator(".model-name", { hasText: "ziya-13b-q4" }).waitFor();
    await expect.poll(() => calls("load")).toContainEqual({ stored: "ziya-13b-q4" });
    expect(await calls("destroy")).toHaveLength(1);
    // The next visit begins with it.
    await page.reload();
    await page.locator("[data-model=ready]").waitFor();
    expect(await calls("load")).toEqual([{ stored: "ziya-13b-q4" }]);
  });

  test("goes on with what is not whole, on the next visit as well", async () => {
    await openDialog({ stored: STORED });
    await page.evaluate("fake.loading = 60_000");
    await page.getByRole("button", { name: "Resume half" }).click();
    await page.locator("#loading", { hasText: "Fetching half" }).waitFor();
    const half = { url: "https://example.org/half/", name: "half" };
    expect((await calls("load")).at(-1)).toEqual(half);
    // Closed before all of it is here.
    await page.reload();
    await page.locator("[data-model=ready]").waitFor();
    expect(await calls("load")).toEqual([half]);
  });

  test("opens a model with the context that was chosen for it, and others with their own", async () => {
    await openDialog();
    await page.locator("#model-address").fill(HUB);
    await page.locator("#model-address").press("Enter");
    const context = page.getByRole("combobox", { name: "Context" });
    expect(await context.locator("option").allInnerTexts()).toEqual([
      "512 tokens",
      "1,024 tokens",
      "2,048 tokens",
    ]);
    await context.selectOption("512");
    await page.locator(".needs", { hasText: "context 419 MB" }).waitFor();
    await page.getByRole("button", { name: "Look" }).click();
    await page.locator(".needs", { hasText: "context 419 MB" }).waitFor();
    await page.evaluate(() => {
      StorageManager.prototype.persist = async () => Boolean(Object.assign(window, { persisted: true }));
    });
    await page.getByRole("button", { name: "Fetch and use" }).click();
    expect(await page.evaluate("persisted")).toBe(true);
    await page.locator(".model-name", { hasText: "Ziya-13B-q4" }).waitFor();
    await page.locator("[data-model=ready]").waitFor();
    await page.locator("#model").click();
    await page.getByRole("button", { name: "Use ziya-tiny" }).click();
    await expect.poll(() => calls("context")).toEqual([undefined, 512, undefined]);
  });

  test("shows a download that goes on behind its dialog, pauses it, and tells why one ended", async () => {
    await openDialog();
    await page.evaluate("fake.loading = 60_000");
    const fetchOnly = async () => {
      await page.locator("#model-address").fill(HUB);
      await page.locator("#model-address").press("Enter");
      await page.getByRole("button", { name: "Fetch only" }).click();
    };
    await fetchOnly();
    const running = page.locator(".transfer");
    await running.getByText(/^0 B of 11\.8 MB · 3\.1 MB\/s · 10 s left/).waitFor();
    await page.keyboard.press("Escape");
    await page.locator("#model").click();
    await running.getByRole("button", { name: "Pause" }).click();
    await running.getByText("Ziya-13B-q4: paused").waitFor();
    const message = "Ziya-13B-q4 is in use by another tab.";
    await page.evaluate(
      (message) =>
        Object.assign((globalThis as unknown as { fake: object }).fake, {
          loading: 0,
          transferFails: { code: "storage", message, times: 1 },
        }),
      message,
    );
    await running.getByRole("button", { name: "Resume" }).click();
    const problem = running.locator("[data-problem=storage]");
    expect(await problem.locator(".detail").innerText()).toBe(message);
    await problem.getByRole("button", { name: "Try again" }).click();
    await model("Ziya-13B-q4").waitFor();
    expect(await running.count()).toBe(0);
    expect(await calls("download")).toHaveLength(3);
    await page.evaluate("fake.loading = 60_000");
    await fetchOnly();
    await running.getByRole("button", { name: "Leave it" }).click();
    await running.waitFor({ state: "detached" });
  });

  test("tells on a full disk what is needed, what is free, and what could go, and leads there", async () => {
    const full = { code: "storage", message: "It is full.", room: { need: 7.3e9, free: 3e9 }, times: 1 };
    await open({ loadFails: full, transferFails: { ...full }, stored: STORED, free: 3e9 });
    const card = page.locator("#loading [data-problem=disk-full]");
    const facts = (card: Locator) => card.locator(".facts > div").allInnerTexts();
    const told = (could: string, free = "3 GB ✗") => [
      "Needed\n7.3 GB",
      `Free in the browser\n${free}`,
      `Could be deleted\n${could}`,
    ];
    // Neither what runs nor what there is no room for.
    const all = told("ziya-13b-q4 (7.3 GB) · half (1 GB) · cut (1 GB)");
    await expect.poll(() => facts(card)).toEqual(all);
    expect(await card.innerText()).toContain("what was fetched is kept and goes on from there");
    await card.getByRole("button", { name: "Choose what to delete" }).click();
    await page.getByRole("button", { name: "Delete half from the browser" }).click();
    await expect.poll(() => facts(card)).toEqual(told("ziya-13b-q4 (7.3 GB) · cut (1 GB)"));
    await page.evaluate("fake.free = 8e9");
    await page.locator("#model-address").fill(HUB.replace("Ziya-13B-q4", "cut"));
    await page.locator("#model-address").press("Enter");
    await page.getByRole("button", { name: "Fetch only" }).click();
    const inDialog = page.locator(".transfer [data-problem=disk-full]");
    await expect.poll(() => facts(inDialog)).toEqual(told("ziya-13b-q4 (7.3 GB)", "8 GB ✓"));
    await inDialog.getByRole("button", { name: "Choose what to delete" }).click();
    expect(await page.evaluate(() => document.activeElement?.closest("#models")?.id)).toBe("models");
    await inDialog.getByRole("button", { name: "Try again" }).click();
    await inDialog.waitFor({ state: "detached" });
    await page.keyboard.press("Escape");
    await card.getByRole("button", { name: "Try again" }).click();
    await page.locator("[data-model=ready]").waitFor();
  });

  test("says where the browser counts as free what the disk has not got", async () => {
    const full = { code: "storage", message: "It is full.", room: { need: 1e9, free: 50e9 }, times: 1 };
    await open({ loadFails: full }, { locale: "zh-CN" });
    const card = page.locator("[data-problem=disk-full]");
    await card.getByText("浏览器算作 50 GB，但磁盘其实已满").waitFor();
    await card.getByText("没有可删的模型：请清理磁盘").waitFor();
  });

  test("tells need and have before a model by its address is fetched", async () => {
    await openDialog();
    await page.locator("#model-address").fill(HUB);
    await page.locator("#model-address").press("Enter");
    const needs = page.locator(".needs");
    await needs.locator("dl").waitFor();
    const text = await needs.innerText();
    for (const fact of ["q4", "7.3 GB", "50 GB", "weights 7.3 GB, context 1.7 GB"])
      expect(text).toContain(fact);
    expect(await calls("download")).toEqual([]);
    await needs.locator("select").selectOption("512");
    await needs.getByText("context 419 MB").waitFor();
    await needs.getByRole("button", { name: "Fetch only" }).click();
    await expect.poll(() => calls("download")).toHaveLength(1);
    const [asked] = (await calls("download")) as [{ name: string }];
    expect(asked.name).toBe("Ziya-13B-q4");
  });

  test.each([
    ["memory", { obstacle: "It needs 9.2 GB of GPU memory; the adapter has 4 GB." }, "the adapter has 4 GB"],
    ["disk", { free: 3e9 }, "4.3 GB too little room"],
  ])("says what could be done where a model does not fit: %s", async (_, fake, words) => {
    await openDialog(fake);
    await page.locator("#model-address").fill("https://example.org/big/");
    await page.locator("#model-address").press("Enter");
    const problem = page.locator(".needs .problem");
    await problem.waitFor();
    expect(await problem.innerText()).toContain(words);
    expect(await problem.locator("li").count()).toBeGreaterThan(2);
    expect(await page.getByRole("button", { name: "Fetch only" }).count()).toBe(0);
  });

  test("takes a model from the disk: where it lies, kept, or packed", async () => {
    await openDialog();
    await page.getByRole("radio", { name: "From this device" }).click();
    await page
      .locator(".drop input")
      .nth(1)
      .setInputFiles([file("notes.txt")]);
    await page.getByText("There is no model in that").waitFor();
    await page.locator(".drop input").nth(1).setInputFiles(CHECKPOINT);
    await page.getByRole("button", { name: "Keep in the browser" }).click();
    await expect
      .poll(() => calls("add"))
      .toEqual([{ name: "model", files: ["config.json", "model.safetensors"] }]);
    await page.locator(".drop input").nth(1).setInputFiles(CHECKPOINT);
    await page.getByText("Pack it smaller").click();
    await page.getByRole("button", { name: "Pack", exact: true }).click();
    await expect.poll(async () => (await calls("convert")).length).toBe(1);
    await page.locator(".drop input").nth(1).setInputFiles(CHECKPOINT);
    await page.getByRole("button", { name: "Use where it lies" }).click();
    await page.locator(".model-name", { hasText: "model" }).waitFor();
    await expect.poll(async () => (await calls("load")).length).toBe(2);
  });

  test("merges a base and a delta that are dropped on the page, with a calibration text", async () => {
    await open();
    await page.locator("[data-model=ready]").waitFor();
    // What a drop of two folders gives: entries, of which the page reads the files.
    await page.evaluate(() => {
      const folder = (name: string, files: readonly string[]) => {
        const entries = files.map((file) => ({
          isFile: true,
          fullPath: `/${name}/${file}`,
          file: (done: (file: File) => void) => done(new File(["x".repeat(3000)], file)),
        }));
        return {
          isFile: false,
          fullPath: `/${name}`,
          createReader: () => ({
            // One at a time, and nothing at the end, as a browser gives them in parts.
            readEntries: (done: (entries: unknown[]) => void) => done(entries.splice(0, 1)),
          }),
        };
      };
      const folders = [
        folder("llama-13b-hf", ["config.json", "pytorch_model.bin"]),
        folder("Ziya-LLaMA-13B-v1", ["config.json", "pytorch_model.bin"]),
      ];
      const event = new Event("drop", { bubbles: true, cancelable: true });
      const items = folders.map((entry) => ({ webkitGetAsEntry: () => entry }));
      Object.assign(event, { dataTransfer: { types: ["Files"], items } });
      document.body.dispatchEvent(event);
    });
    await page.getByRole("dialog", { name: "Models" }).waitFor();
    const form = page.locator("form.add", { hasText: "The delta is" });
    // What the result will take, before anything is read.
    await form.locator(".needs").getByText("To be written").waitFor();
    expect(await form.locator("select").first().locator("option:checked").innerText()).toBe(
      "Ziya-LLaMA-13B-v1",
    );
    await form.locator("select").nth(1).selectOption("q8");
    await form.locator("input[type=file]").setInputFiles([file("about.txt", "some text")]);
    await form.getByRole("button", { name: "Merge and pack" }).click();
    await expect
      .poll(() => calls("convert"))
      .toEqual([
        {
          name: "Ziya-LLaMA-13B-v1-q4",
          base: ["config.json", "pytorch_model.bin"],
          delta: ["config.json", "pytorch_model.bin"],
          weights: "q8",
          calibration: "about.txt",
        },
      ]);
    await model("Ziya-LLaMA-13B-v1-q4").waitFor();
  });

  test("tells in plain words why a model cannot be had, each with what to do, and tries again", async () => {
    const failures = [
      ["network", { code: "checkpoint", message: "The connection broke." }, "The server does not answer"],
      ["offline", { code: "checkpoint", message: "Failed to fetch." }, "There is no network"],
      ["storage", { code: "storage", message: "The browser's storage is full." }, "could not store"],
      ["disk-full", { name: "QuotaExceededError", message: "Full." }, "no room left"],
      ["device-lost", { code: "device-lost", message: "The device was lost." }, "GPU was taken away"],
      ["device", { code: "device", message: "It needs 9.2 GB; it has 4 GB." }, "GPU cannot run the model"],
      ["wrong-numbers", { code: "logits", message: "NaN." }, "computes something else"],
    ] as const;
    await open({ loadFails: { ...failures[0][1], times: 1 } });
    for (const [i, [kind, { message }, words]] of failures.entries()) {
      const card = page.locator(`[data-problem="${kind}"]`);
      await card.waitFor();
      expect(await card.locator("h2").innerText()).toContain(words);
      expect((await card.locator("p").first().innerText()).length).toBeGreaterThan(60);
      expect(await card.locator(".detail").innerText()).toBe(message);
      for (const button of await card.getByRole("button").all()) expect(await button.isEnabled()).toBe(true);
      const [nextKind, next] = failures[i + 1] ?? [];
      await page.context().setOffline(nextKind === "offline");
      await page.evaluate(
        (next) => {
          const { fake } = globalThis as unknown as { fake: object };
          Object.assign(fake, { loadFails: next && { ...next, times: 1 } });
        },
        next as object | undefined,
      );
      await card.getByRole("button", { name: "Try again" }).click();
    }
    await page.locator("[data-model=ready]").waitFor();
    expect(await page.locator(".problem").count()).toBe(0);
  });

  test("tells why an answer waits while the GPU is opened again, and that it is back", async () => {
    await open({ deviceBack: 60_000, answers: { long: "word ".repeat(50) }, delay: 20 });
    await page.locator("[data-model=ready]").waitFor();
    await page.locator("#question").fill("long");
    await page.locator("#question").press("Enter");
    await page.locator(".notice", { hasText: "the answer goes on" }).waitFor();
    await hurry(page, { deviceBack: 0, delay: 0 });
    await page.locator(".notice", { hasText: "The GPU is back" }).waitFor();
    await page.locator(".answer .note:not(:empty)").waitFor();
    expect(await page.locator(".problem").count()).toBe(0);
  });

  test("goes on after an answer that failed with its device, and loses nothing", async () => {
    await open({ answerFails: { code: "device-lost", message: "The device was lost.", times: 1 } });
    await page.locator("[data-model=ready]").waitFor();
    await page.locator("#question").fill("kept");
    await page.locator("#question").press("Enter");
    await page.locator("#failure [data-problem=device-lost]").waitFor();
    expect(await page.locator(".bubble").allInnerTexts()).toEqual(["kept"]);
    await page.locator("#failure").getByRole("button", { name: "Try again" }).click();
    await page.locator(".answer .markdown", { hasText: "kept" }).waitFor();
    expect(await calls("load")).toHaveLength(2);
    expect(await say(page, "more")).toBe("more");
    // One that was made to go on with texts.
    await page.evaluate(
      `fake.answerFails = { code: "config", message: "It has no chat template.", times: 1 }`,
    );
    await page.locator("#question").fill("hello");
    await page.locator("#question").press("Enter");
    const card = page.locator("#failure [data-problem=no-chat]");
    await card.getByText("This model does not chat").waitFor();
    await card.getByRole("button", { name: "Choose another model" }).click();
    await page.getByRole("dialog", { name: "Models" }).waitFor();
  });

  test("has thrown no error of its own, and broken no rule of its policy", () => {
    expect(complaints).toEqual([]);
  });
});
