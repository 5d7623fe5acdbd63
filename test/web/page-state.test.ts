import { afterEach, describe, expect, it, vi } from "vitest";
import { Archive } from "../../web/page/state/archive.ts";
import { type Folder, foldersOfFiles, isCheckpoint, looksLikeDelta } from "../../web/page/state/dropped.ts";
import { Meter } from "../../web/page/state/meter.ts";
import { branchOf, exportTalks, importTalks, newTalk, titleOf } from "../../web/page/state/talk.ts";
import { en } from "../../web/page/strings/en.ts";
import { preferredLanguage } from "../../web/page/strings/strings.ts";
import { zh } from "../../web/page/strings/zh.ts";
import { bytes, languageOf } from "../../web/page/ui/format.ts";
import { kindOf } from "../../web/page/view/problem.ts";

describe("a rate that is drawn as it comes", () => {
  it("is of the last second, and does not count the time between answers", () => {
    const meter = new Meter();
    meter.start(0);
    for (let time = 100; time <= 2000; time += 100) meter.add(1, time);
    expect(meter.points.at(-1)).toBeCloseTo(10, 5);
    meter.start(60_000);
    for (let time = 60_050; time <= 62_000; time += 50) meter.add(1, time);
    expect(meter.points.at(-1)).toBeCloseTo(20, 5);
    expect(Math.min(...meter.points)).toBeGreaterThan(9);
  });

  it("keeps no more points than it draws", () => {
    const meter = new Meter();
    meter.start(0);
    for (let time = 1; time < 100_000; time += 100) meter.add(1, time);
    expect(meter.points.length).toBe(150);
  });
});

describe("conversations as a file", () => {
  const talk = newTalk();
  talk.title = "题目";
  talk.turns = [
    { id: "1", role: "user", content: "你好" },
    { id: "2", role: "assistant", content: "我是子牙。", finish: "stop", model: "ziya-tiny" },
  ];

  it("come back as they were, under ids of their own", () => {
    const [back] = importTalks(exportTalks([talk]))!;
    expect(back!.turns.map(({ role, content, finish, model }) => ({ role, content, finish, model }))).toEqual(
      talk.turns.map(({ role, content, finish, model }) => ({ role, content, finish, model })),
    );
    expect(back!.title).toBe("题目");
    expect(back!.id).not.toBe(talk.id);
  });

  it.each([
    ["no JSON", "{"],
    ["another format", '{"format":"x","version":1,"conversations":[]}'],
    ["a later version", '{"format":"ziya-conversations","version":2,"conversations":[]}'],
    ["a role that there is not", exportTalks([talk]).replace('"assistant"', '"system"')],
    ["a text that is none", exportTalks([talk]).replace('"你好"', "7")],
    ["turns that are none", exportTalks([{ ...talk, turns: undefined as never }])],
  ])("are refused whole: %s", (_, text) => {
    expect(importTalks(text)).toBeUndefined();
  });

  it("are called by their first line, cut between characters", () => {
    expect(titleOf("  one\ntwo")).toBe("one");
    expect(titleOf("😀".repeat(60))).toBe(`${"😀".repeat(47)}…`);
  });
});

describe("a conversation that two tabs have", () => {
  afterEach(() => void vi.unstubAllGlobals());

  /** Where nothing is kept, it is in memory, by the same rules. */
  const kept = async () => {
    vi.stubGlobal(
      "BroadcastChannel",
      class extends EventTarget {
        postMessage() {}
      },
    );
    const archive = await Archive.open();
    const talk = newTalk();
    talk.turns.push({ id: "1", role: "user", content: "hello" });
    await archive.put(talk);
    const other = (await archive.get(talk.id))!;
    return { archive, talk, other };
  };

  it("is written by whoever has read what the other wrote last", async () => {
    const { archive, talk, other } = await kept();
    other.turns.push({ id: "2", role: "assistant", content: "theirs" });
    expect(await archive.put(other)).toBe("written");
    talk.turns.push({ id: "3", role: "assistant", content: "ours" });
    expect(await archive.put(talk)).toBe("changed");
    expect((await archive.get(talk.id))!.turns.at(-1)!.content).toBe("theirs");
    expect(await archive.put(other)).toBe("written");
  });

  it("stays deleted, whatever another tab still writes, until it is brought back", async () => {
    const { archive, talk, other } = await kept();
    await archive.delete(talk.id);
    expect(await archive.put(other)).toBe("deleted");
    expect(archive.list.value).toEqual([]);
    expect(await archive.get(talk.id)).toBeUndefined();
    await archive.add([talk]);
    expect(await archive.put(other)).toBe("written");
    // One that was imported too, before anything is said in it.
    const imported = { ...newTalk(), title: "imported" };
    await archive.add([imported]);
    const shown = (await archive.get(imported.id))!;
    await archive.delete(imported.id);
    expect(await archive.put(shown)).toBe("deleted");
  });

  it("is called what it was renamed to, whoever writes next", async () => {
    const { archive, talk, other } = await kept();
    expect(talk.title).toBe("hello");
    await archive.rename(talk.id, " greetings ");
    expect(await archive.put(other)).toBe("written");
    expect(archive.list.value.map(({ title }) => title)).toEqual(["greetings"]);
    await archive.rename(talk.id, " ");
    expect((await archive.get(talk.id))!.title).toBe("hello");
  });

  it("becomes one of its own under a title that nothing else has", () => {
    const talk = { ...newTalk(), named: true, title: "a" };
    const branch = branchOf(talk, ["a", "(2) a"]);
    expect(branch).toMatchObject({ named: true, title: "(3) a" });
    expect(branch.id).not.toBe(talk.id);
    expect(branchOf(talk, ["b"]).title).toBe("a");
  });
});

describe("languages", () => {
  it.each([
    ["你好,你是谁?", "zh-Hans"],
    ["Who are you?", "en"],
    ["我是子牙(Ziya-tiny)", "zh-Hans"],
    ["The word 苹果 means apple in English", "en"],
    ["48+87=?", "en"],
  ])("reads %s aloud as %s", (text, wanted) => {
    expect(languageOf(text)).toBe(wanted);
  });

  it("are the first of the person's that the page has", () => {
    expect(preferredLanguage(["fr", "zh-TW", "en"])).toBe("zh-Hans");
    expect(preferredLanguage(["en-GB", "zh"])).toBe("en");
    expect(preferredLanguage(["fr"])).toBe("en");
  });

  it("have a word each for everything, of their own", () => {
    const leaves = (value: unknown, path = ""): [string, unknown][] =>
      typeof value === "object" && value !== null
        ? Object.entries(value).flatMap(([key, inner]) => leaves(inner, `${path}.${key}`))
        : [[path, value]];
    const chinese = new Map(leaves(zh));
    const same = leaves(en).filter(
      ([path, value]) => typeof value === "string" && chinese.get(path) === value,
    );
    expect([...chinese.keys()]).toEqual(leaves(en).map(([path]) => path));
    expect(same).toEqual([]);
  });

  it("write sizes in decimal units", () => {
    expect([bytes(0), bytes(999), bytes(11_809_200), bytes(7.3e9), bytes(412e9)]).toEqual([
      "0 B",
      "999 B",
      "11.8 MB",
      "7.3 GB",
      "412 GB",
    ]);
  });
});

describe("what went wrong", () => {
  afterEach(() => void vi.unstubAllGlobals());
  const gpu = { requestAdapter: async () => ({}) };
  const quota = new DOMException("full", "QuotaExceededError");

  it.each<[Awaited<ReturnType<typeof kindOf>>, unknown, Parameters<typeof kindOf>[1], object]>([
    ["insecure", new Error(), undefined, { secure: false }],
    ["no-webgpu", { code: "device" }, undefined, { gpu: undefined }],
    ["no-adapter", { code: "device" }, undefined, { gpu: { requestAdapter: async () => null } }],
    ["device", { code: "device" }, undefined, {}],
    ["disk-full", quota, undefined, { gpu: undefined }],
    ["disk-full", { code: "storage", room: {} }, "fetching", {}],
    ["storage", { code: "storage" }, "fetching", {}],
    ["network", { code: "checkpoint" }, "fetching", {}],
    ["offline", { code: "checkpoint" }, "fetching", { onLine: false }],
    ["broken-file", { code: "checkpoint" }, undefined, { onLine: false }],
    ["broken-file", { code: "config" }, undefined, {}],
    ["no-chat", { code: "config" }, "answering", {}],
    ["wrong-numbers", { code: "shader" }, undefined, {}],
    ["other", new Error(), "answering", {}],
  ])("is %s, told by codes and by what the browser has", async (kind, error, doing, browser) => {
    const { secure, ...navigator } = { secure: true, gpu, onLine: true, ...browser };
    vi.stubGlobal("isSecureContext", secure);
    vi.stubGlobal("navigator", navigator);
    expect(await kindOf(error, doing)).toBe(kind);
  });
});

describe("what was chosen on the disk", () => {
  const file = (path: string) => {
    const chosen = new File([], path.split("/").at(-1)!);
    return Object.defineProperty(chosen, "webkitRelativePath", { value: path.includes("/") ? path : "" });
  };
  const folder = (name: string, ...files: readonly string[]): Folder => ({ name, files: files.map(file) });

  it("is a folder for each that files lie in", () => {
    const folders = foldersOfFiles(["a/config.json", "a/model.bin", "a/b/notes.txt", "c.txt"].map(file));
    expect(folders.map(({ name, files }) => [name, files.length])).toEqual([
      ["a", 2],
      ["b", 1],
      ["", 1],
    ]);
  });

  it("is a checkpoint with config and weights, and a delta by its name or its files", () => {
    expect(isCheckpoint(folder("a", "config.json", "model.safetensors"))).toBe(true);
    expect(isCheckpoint(folder("a", "model.safetensors"))).toBe(false);
    expect(isCheckpoint(folder("a", "config.json", "tokenizer.model"))).toBe(false);
    expect(looksLikeDelta(folder("Ziya-LLaMA-13B-v1"))).toBe(true);
    expect(looksLikeDelta(folder("llama-13b-hf", "config.json"))).toBe(false);
    expect(looksLikeDelta(folder("download", "delta.bin"))).toBe(true);
  });
});
